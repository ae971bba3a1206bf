package daemon

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sync/errgroup"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/exchange"
	"github.com/vidsync/vidsync/manifest"
)

// repair fetches the bad pieces of one file from peers, writes them in their
// places and takes note of what the file is now. It returns how many it
// repaired.
func (n *Node) repair(ctx context.Context, m *manifest.Manifest, v blockstore.Video, f blockstore.File, bad []api.Damage) (int, error) {
	net, err := n.network(ctx)
	if err != nil {
		return 0, err
	}
	file, err := os.OpenFile(f.Path, os.O_RDWR, 0)
	if err != nil {
		return 0, fmt.Errorf("repair: %w", err)
	}
	defer file.Close()
	have := manifest.AllHoldings(m.Size())
	for _, d := range bad {
		if d.Block < m.NumBlocks() {
			have.Remove(d.Block, 1<<d.Piece)
		}
	}
	if err := n.bringPieces(ctx, net, m, have, &patch{m: m, file: file}); err != nil {
		return 0, err
	}
	if err := file.Truncate(m.Size()); err != nil {
		return 0, fmt.Errorf("repair: %w", err)
	}
	if err := file.Sync(); err != nil {
		return 0, fmt.Errorf("repair %s: %w", f.Path, err)
	}
	return len(bad), n.readAgain(ctx, file, v, f)
}

// readAgain hashes a repaired file, and takes note of what it is now if it is
// the video again.
func (n *Node) readAgain(ctx context.Context, file *os.File, v blockstore.Video, f blockstore.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	f.Stamp = blockstore.StampOf(info)
	_, err = n.hash(ctx, file, f, v, nil)
	return err
}

// bringPieces gets what have lacks from peers into sink.
func (n *Node) bringPieces(ctx context.Context, net *network, m *manifest.Manifest, have *manifest.Holdings, sink exchange.Sink) error {
	p := newProviders(net, n.trust, m.CID(), n.log)
	p.know(m)
	x := exchange.New(m.Size(), have, sink, exchange.Config{
		Logger: n.log,
		OnBad: func(peer string, block, piece int, why error) {
			p.ban(peer, fmt.Errorf("block %d, piece %d: %w", block, piece, why))
		},
	})
	g, ctx := errgroup.WithContext(ctx)
	looking, stop := context.WithCancel(ctx)
	g.Go(func() error { return p.lookUntil(looking) })
	g.Go(func() error {
		defer stop()
		return x.Run(ctx, p.peers)
	})
	return g.Wait()
}

// patch writes proven pieces over bad ones. It implements exchange.Sink.
type patch struct {
	m    *manifest.Manifest
	file *os.File
}

func (p *patch) Put(_ context.Context, block, piece int, data, proof []byte) error {
	b := p.m.Block(block)
	if err := manifest.CheckPiece(b.Digest, b.Len, piece, data, proof); err != nil {
		return err
	}
	_, err := p.file.WriteAt(data, b.Offset+int64(piece)*manifest.PieceSize)
	return err
}
