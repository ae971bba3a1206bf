package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/exchange"
	"github.com/vidsync/vidsync/manifest"
)

// repair fetches the pieces of a file that c found bad from peers, writes them
// in their places and takes note of what the file is now. It returns how many
// it repaired; then c has none left. A file that was put in the place of the
// video is nothing to repair.
func (n *Node) repair(ctx context.Context, v blockstore.Video, f blockstore.File, c *checker) (int, error) {
	if err := c.repairable(f); err != nil {
		return 0, err
	}
	net, err := n.network(ctx)
	if err != nil {
		return 0, err
	}
	file, err := os.OpenFile(f.Path, os.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		return 0, fmt.Errorf("repair: %w", err)
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !os.SameFile(info, c.info) {
		return 0, errors.Join(replaced(f.Path), err)
	}
	have := manifest.AllHoldings(c.m.Size())
	for _, d := range c.bad {
		have.Remove(d.Block, 1<<d.Piece)
	}
	if err := n.bringPieces(ctx, net, c.m, have, &patch{m: c.m, file: file}); err != nil {
		return 0, fmt.Errorf("%s was not repaired: %w", f.Path, err)
	}
	if err := file.Sync(); err != nil {
		return 0, fmt.Errorf("repair %s: %w", f.Path, err)
	}
	repaired := len(c.bad)
	if err := n.readAgain(ctx, file, v, f); err != nil {
		return repaired, err
	}
	c.bad = nil
	return repaired, nil
}

// repairable refuses a file that is not the video with some damage but
// something else: a repair would destroy it. A file of the same size and inode
// is taken for the video even if most of it is wrong. One that has grown may
// still be written to, and what it has beyond the video's end is not ours.
func (c *checker) repairable(f blockstore.File) error {
	now := blockstore.StampOf(c.info)
	if now.Size > c.m.Size() {
		return api.Errorf(api.CodeCorrupt, "%s has grown since it was added and is not repaired; cut it to %d bytes, or add it again", f.Path, c.m.Size())
	}
	same := now.Size == f.Stamp.Size && now.Inode == f.Stamp.Inode && now.Device == f.Stamp.Device
	if !same && c.wrong > c.good.Load() {
		return replaced(f.Path)
	}
	return nil
}

func replaced(path string) error {
	return api.Errorf(api.CodeCorrupt, "%s holds something else now and is not repaired; move it away and fetch the video again", path)
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
	p := newProviders(net, n.trust, n.bans, m.CID(), n.log)
	p.know(m)
	x := exchange.New(m.Size(), have, sink, exchange.Config{Self: n.self.String(), MaxInFlight: maxInFlight, Logger: n.log, OnBad: n.onBad(p, m)})
	defer n.memory.enter(x)()
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
