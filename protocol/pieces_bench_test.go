package protocol_test

import (
	"bytes"
	"context"
	"io"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	corep2p "github.com/libp2p/go-libp2p/core/protocol"
	"golang.org/x/sync/errgroup"

	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol"
)

// untouched is a library that leaves the buffer as it is: what the protocol
// costs without a disk.
type untouched struct{ *library }

func (l untouched) Piece(_ context.Context, _ cid.Cid, block, piece int, buf, proof []byte) ([]byte, []byte, error) {
	return buf, l.proof(proof, block, piece), nil
}

// cpuSeconds is the processor time that this process has used. On a busy
// machine it tells more than the clock.
func cpuSeconds(b *testing.B) float64 {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9
}

func reportCPU(b *testing.B, since float64) {
	b.ReportMetric(float64(b.N)*manifest.PieceSize/1e6/(cpuSeconds(b)-since), "MB/cpu-s")
}

// BenchmarkPieces moves pieces between two hosts on loopback and drops them.
// Compare it with BenchmarkRawStream.
func BenchmarkPieces(b *testing.B) {
	v := splitVideo(b, 1<<30, nil, func(int64, int64) bool { return true })
	for transport := range transports {
		b.Run(transport, func(b *testing.B) {
			server, client := newHosts(b, transport)
			serve(b, server, protocol.ServerConfig{Library: untouched{newLibrary(v)}})
			r := run(b, client, server.ID(), v.manifest, protocol.ClientConfig{})
			b.SetBytes(manifest.PieceSize)
			b.ReportAllocs()
			b.ResetTimer()
			start := cpuSeconds(b)
			var next atomic.Int64
			g, ctx := errgroup.WithContext(b.Context())
			for range 16 {
				g.Go(func() error {
					for i := int(next.Add(1) - 1); i < b.N; i = int(next.Add(1) - 1) {
						_, _, release, err := r.Get(ctx, i/32%32, i%32)
						if err != nil {
							return err
						}
						release()
					}
					return nil
				})
			}
			if err := g.Wait(); err != nil {
				b.Fatal(err)
			}
			reportCPU(b, start)
		})
	}
}

// BenchmarkRawStream moves the same bytes over a stream without any protocol.
func BenchmarkRawStream(b *testing.B) {
	const id corep2p.ID = "/vidsync/test/raw"
	for transport := range transports {
		b.Run(transport, func(b *testing.B) {
			server, client := newHosts(b, transport)
			piece := bytes.Repeat([]byte{0}, manifest.PieceSize)
			server.SetStreamHandler(id, func(s network.Stream) {
				defer s.Reset()
				_, _ = s.Read(make([]byte, 1))
				for {
					if _, err := s.Write(piece); err != nil {
						return
					}
				}
			})
			s, err := client.NewStream(b.Context(), server.ID(), id)
			if err != nil {
				b.Fatal(err)
			}
			defer s.Reset()
			if _, err := s.Write([]byte{0}); err != nil {
				b.Fatal(err)
			}
			buf := make([]byte, manifest.PieceSize)
			b.SetBytes(manifest.PieceSize)
			b.ResetTimer()
			start := cpuSeconds(b)
			for b.Loop() {
				if _, err := io.ReadFull(s, buf); err != nil {
					b.Fatal(err)
				}
			}
			reportCPU(b, start)
		})
	}
}
