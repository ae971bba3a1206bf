package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"unsafe"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	corep2p "github.com/libp2p/go-libp2p/core/protocol"
	"golang.org/x/sync/errgroup"

	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol"
)

const streamID corep2p.ID = "/vidsync-bench/stream/1.0.0"

// connectionsOf are the kinds of connections that a stream is measured over.
var connectionsOf = map[string]func() libp2p.Option{"stock": stock, "tuned": protocol.Connections}

// streamPart answers each stream with as many bytes as its first 8 ask for.
// It listens on the multiaddr args[0], with connections of the kind args[1].
func streamPart(ctx context.Context, args []string, out io.Writer) error {
	h, err := newHost(connectionsOf[args[1]](), args[0])
	if err != nil {
		return err
	}
	h.SetStreamHandler(streamID, func(s network.Stream) {
		if sendAsked(s) != nil {
			_ = s.Reset()
		}
	})
	addr, err := fullAddr(h)
	if err != nil {
		return errors.Join(err, h.Close())
	}
	fmt.Fprintln(out, addr)
	<-ctx.Done()
	return h.Close()
}

func sendAsked(s network.Stream) error {
	var head [8]byte
	if _, err := io.ReadFull(s, head[:]); err != nil {
		return err
	}
	piece := make([]byte, mib)
	for left := int64(binary.BigEndian.Uint64(head[:])); left > 0; left -= mib {
		if _, err := s.Write(piece[:min(left, mib)]); err != nil {
			return err
		}
	}
	return s.Close()
}

func runStream(ctx context.Context, b *bench) ([]figure, error) { return b.streamOver(ctx, "stock") }

func runTuned(ctx context.Context, b *bench) ([]figure, error) { return b.streamOver(ctx, "tuned") }

// streamOver reads from a stream of another process and discards.
func (b *bench) streamOver(ctx context.Context, connections string) ([]figure, error) {
	part, addr, err := b.startChild(ctx, nil, "stream", loopback.Listen, connections)
	if err != nil {
		return nil, err
	}
	defer part.end()
	h, err := newHost(connectionsOf[connections]())
	if err != nil {
		return nil, err
	}
	defer h.Close()
	s, err := openStream(ctx, h, addr)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { _ = s.Reset() })()
	m := startMeter(true, part.PID())
	if err := discard(s, int64(b.size)); err != nil {
		return nil, err
	}
	wall, cpu := m.read()
	return rates(int64(b.size), wall, cpu), nil
}

func openStream(ctx context.Context, h host.Host, addr string) (network.Stream, error) {
	info, err := peer.AddrInfoFromString(addr)
	if err != nil {
		return nil, err
	}
	if err := h.Connect(ctx, *info); err != nil {
		return nil, err
	}
	return h.NewStream(ctx, info.ID, streamID)
}

// ask tells a streamPart how many bytes to send.
func ask(s network.Stream, size int64) error {
	_, err := s.Write(binary.BigEndian.AppendUint64(nil, uint64(size)))
	return err
}

func discard(s network.Stream, size int64) error {
	if err := ask(s, size); err != nil {
		return err
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, s, make([]byte, mib))
	if err == nil && n != size {
		err = fmt.Errorf("stream ended after %d of %d bytes", n, size)
	}
	return err
}

// runHash hashes blocks in memory, one a core at a time.
func runHash(ctx context.Context, b *bench) ([]figure, error) {
	block := make([]byte, min(int64(b.size), manifest.BlockSize))
	source := rand.NewChaCha8([32]byte{1})
	if _, err := source.Read(block); err != nil {
		return nil, err
	}
	total := int64(0)
	m := startMeter(true)
	err := onAllCores(ctx, int64(b.size), int64(len(block)), &total, func(buf []byte, _ int64, n int) error {
		_, _, err := manifest.HashBlock(bytes.NewReader(block[:n]), int64(n), buf)
		return err
	})
	wall, cpu := m.read()
	return rates(total, wall, cpu), err
}

// runRead reads the file that is added and fetched.
func runRead(ctx context.Context, b *bench) ([]figure, error) {
	path, err := b.video(int64(b.size))
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	total := int64(0)
	m := startMeter(true)
	err = onAllCores(ctx, int64(b.size), mib, &total, func(buf []byte, offset int64, n int) error {
		_, err := f.ReadAt(buf[:n], offset)
		return err
	})
	wall, cpu := m.read()
	return rates(total, wall, cpu), err
}

// runWrite writes a new file as a fetch does: preallocated, a piece at a time,
// past the page cache where the file system can do that.
func runWrite(ctx context.Context, b *bench) (figures []figure, err error) {
	path := filepath.Join(b.dir, "written")
	f, err := createDirect(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(path)) }()
	if err := preallocate(f, int64(b.size)); err != nil {
		return nil, err
	}
	size := int64(b.size) / mib * mib // direct writes are whole pages
	total := int64(0)
	m := startMeter(true)
	err = onAllCores(ctx, size, mib, &total, func(buf []byte, offset int64, n int) error {
		_, err := f.WriteAt(buf[:n], offset)
		return err
	})
	if err == nil {
		err = flushData(f)
	}
	wall, cpu := m.read()
	return rates(total, wall, cpu), err
}

// onAllCores calls do for each stretch of size bytes, from as many goroutines
// as there are cores, each with a page-aligned buffer of 1 MiB of its own.
func onAllCores(ctx context.Context, size, stretch int64, total *int64, do func(buf []byte, offset int64, n int) error) error {
	var next, done atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range runtime.GOMAXPROCS(0) {
		g.Go(func() error {
			buf := alignedBuffer(mib)
			for {
				offset := next.Add(stretch) - stretch
				if offset >= size || ctx.Err() != nil {
					return ctx.Err()
				}
				n := int(min(stretch, size-offset))
				if err := do(buf, offset, n); err != nil {
					return err
				}
				done.Add(int64(n))
			}
		})
	}
	err := g.Wait()
	*total = done.Load()
	return err
}

func alignedBuffer(n int) []byte {
	const page = 4096
	buf := make([]byte, n+page)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(buf)))) & (page - 1)
	return buf[skip : skip+n : skip+n]
}
