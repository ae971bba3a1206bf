package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol"
)

// lieEvery is which pieces the liar serves with a wrong byte.
const lieEvery = 10

// liar is a library of one video that does not keep to the truth.
type liar struct {
	file      *os.File
	manifest  *manifest.Manifest
	nodes     map[cid.Cid][]byte
	outboards []manifest.Outboard
}

// liarPart serves the file args[1] at the multiaddr args[0].
func liarPart(ctx context.Context, args []string, out io.Writer) error {
	l, err := newLiar(ctx, args[1])
	if err != nil {
		return err
	}
	defer l.file.Close()
	h, err := newHost(protocol.Connections(), args[0])
	if err != nil {
		return err
	}
	defer h.Close()
	addr, err := fullAddr(h)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, addr)
	return protocol.NewServer(h, protocol.ServerConfig{Library: l, Authorizer: everybody{}}).Run(ctx)
}

func newLiar(ctx context.Context, path string) (*liar, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	l := &liar{file: f, nodes: map[cid.Cid][]byte{}}
	if err := l.split(ctx); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return l, nil
}

func (l *liar) split(ctx context.Context) error {
	info, err := l.file.Stat()
	if err != nil {
		return err
	}
	l.outboards = make([]manifest.Outboard, manifest.NumBlocks(info.Size()))
	l.manifest, err = manifest.Split(ctx, l.file, info.Size(), manifest.SplitConfig{
		Block: func(b manifest.Block, o manifest.Outboard) error {
			l.outboards[b.Index] = o
			return nil
		},
	})
	if err != nil {
		return err
	}
	for node, err := range l.manifest.Nodes() {
		if err != nil {
			return err
		}
		l.nodes[node.CID] = node.Data
	}
	return nil
}

// ManifestNode implements protocol.Library.
func (l *liar) ManifestNode(_ context.Context, video cid.Cid, path []int) ([]byte, error) {
	data := l.nodes[video]
	for _, index := range path {
		child, err := manifest.Child(data, index)
		if err != nil {
			return nil, fs.ErrNotExist
		}
		data = l.nodes[child]
	}
	if data == nil {
		return nil, fs.ErrNotExist
	}
	return data, nil
}

// Holdings implements protocol.Library: all of it.
func (l *liar) Holdings(video cid.Cid) (*manifest.Holdings, <-chan struct{}, error) {
	if video != l.manifest.CID() {
		return nil, nil, fs.ErrNotExist
	}
	return manifest.AllHoldings(l.manifest.Size()), nil, nil
}

// Piece implements protocol.Library. Every tenth piece has a wrong byte.
func (l *liar) Piece(_ context.Context, video cid.Cid, block, piece int, buf, proof []byte) ([]byte, []byte, error) {
	if video != l.manifest.CID() {
		return nil, nil, fs.ErrNotExist
	}
	b := l.manifest.Block(block)
	n := manifest.PieceLen(b.Len, piece)
	if _, err := l.file.ReadAt(buf[:n], b.Offset+int64(piece)*manifest.PieceSize); err != nil {
		return nil, nil, err
	}
	if (block*manifest.PiecesPerBlock+piece)%lieEvery == lieEvery-1 {
		buf[n/2]++
	}
	return buf[:n], l.outboards[block].AppendProof(proof[:0], b.Len, piece), nil
}

// everybody authorizes all.
type everybody struct{}

// Authorize implements protocol.Authorizer.
func (everybody) Authorize(peer.ID, cid.Cid, []byte) (time.Time, error) { return time.Time{}, nil }
