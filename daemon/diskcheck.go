package daemon

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

const (
	// maxDiskChecks is how many pieces wait to be read again. What peers report
	// beyond it is dropped: they may be lying.
	maxDiskChecks = 64
	// diskCheckPause follows each check, so that reports cost a disk little.
	diskCheckPause = 2 * time.Second
)

// pieceRef names a piece of a video.
type pieceRef struct {
	video        cid.Cid
	block, piece int
}

// diskChecks is the pieces that are to be read again.
type diskChecks struct {
	wake chan struct{} // has a token when there is something to do

	mu      sync.Mutex
	waiting []pieceRef
}

func newDiskChecks() *diskChecks { return &diskChecks{wake: make(chan struct{}, 1)} }

func (d *diskChecks) add(p pieceRef) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.waiting) >= maxDiskChecks || slices.Contains(d.waiting, p) {
		return
	}
	d.waiting = append(d.waiting, p)
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

func (d *diskChecks) take() (pieceRef, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.waiting) == 0 {
		return pieceRef{}, false
	}
	p := d.waiting[0]
	d.waiting = d.waiting[1:]
	return p, true
}

// BadPiece hears of a piece that a peer found wrong. It is read again later. It
// implements protocol.BadPieces.
func (l *library) BadPiece(video cid.Cid, block, piece int) {
	l.checks.add(pieceRef{video, block, piece})
}

// checkDisk reads the pieces that peers reported, one at a time, until ctx
// ends.
func (l *library) checkDisk(ctx context.Context) error {
	for {
		for p, ok := l.checks.take(); ok; p, ok = l.checks.take() {
			if err := l.check(ctx, p); err != nil && ctx.Err() == nil {
				l.log.Warn("reported piece cannot be checked", "video", p.video, "block", p.block, "piece", p.piece, "error", err)
			}
			select {
			case <-time.After(diskCheckPause):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		select {
		case <-l.checks.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// check reads a piece in every file that has it, and marks those where it is
// wrong.
func (l *library) check(ctx context.Context, p pieceRef) error {
	m, err := l.manifest(ctx, p.video)
	if err != nil {
		return err
	}
	if p.block >= m.NumBlocks() || p.piece >= manifest.NumPieces(m.Block(p.block).Len) {
		return fmt.Errorf("video %s has no such piece", p.video)
	}
	b := m.Block(p.block)
	outboard, err := l.store.Outboard(b.Digest)
	if err != nil {
		return err
	}
	places, err := l.store.Places(b.Digest)
	if err != nil {
		return err
	}
	proof := outboard.AppendProof(nil, b.Len, p.piece)
	right := 0
	for _, place := range places {
		offset := place.Offset + int64(p.piece)*manifest.PieceSize
		wrong := readWrong(place, b, p.piece, offset, proof)
		if wrong == "" {
			right++
			continue
		}
		l.marked(place.Path, b, p.piece, offset, wrong)
	}
	l.log.Info("piece that a peer reported was read again", "video", p.video, "block", p.block, "piece", p.piece, "right_in", right, "wrong_in", len(places)-right)
	return nil
}

// readWrong reads a piece at a place and says what is wrong with it; empty if
// nothing is, or if the file changed meanwhile, which its stamp tells.
func readWrong(place blockstore.Place, b manifest.Block, piece int, offset int64, proof []byte) string {
	f, err := openRegular(place.Path)
	if err != nil {
		return ""
	}
	defer f.Close()
	data := make([]byte, manifest.PieceLen(b.Len, piece))
	_, readErr := f.ReadAt(data, offset)
	if info, err := f.Stat(); err != nil || blockstore.StampOf(info) != place.Stamp {
		return ""
	}
	if readErr != nil {
		return "cannot be read"
	}
	if manifest.CheckPiece(b.Digest, b.Len, piece, data, proof) != nil {
		return manifest.ErrCorrupt.Error()
	}
	return ""
}

// marked remembers a wrong piece of a file, so that it is not served.
func (l *library) marked(path string, b manifest.Block, piece int, offset int64, why string) {
	info, err := os.Stat(path)
	if err != nil {
		return // gone: it is not served anyway
	}
	p := damagedPiece{Block: b.Digest.String(), Piece: piece, Offset: offset, Length: int64(manifest.PieceLen(b.Len, piece)), Reason: why}
	news, err := l.damage.mark(path, blockstore.StampOf(info), p)
	if err != nil {
		l.log.Error("damage is not remembered", "path", path, "error", err)
	}
	if news {
		l.log.Warn("file is damaged; mend it with: vidsync verify --repair", "path", path, "offset", p.Offset, "length", p.Length, "reason", why)
	}
}

// withoutDamage takes out of have the pieces that are damaged wherever they
// lie.
func (l *library) withoutDamage(m *manifest.Manifest, have *manifest.Holdings) error {
	if !l.damage.any() {
		return nil
	}
	if err := l.damage.refresh(); err != nil {
		return err
	}
	damaged := l.damage.places()
	blocks := map[string][]damagedPlace{}
	for p := range damaged {
		blocks[p.block] = append(blocks[p.block], p)
	}
	for i := range m.NumBlocks() {
		for _, p := range blocks[m.Block(i).Digest.String()] {
			places, err := l.store.Places(m.Block(i).Digest)
			if err != nil {
				return err
			}
			if damaged[p] >= len(places) {
				have.Remove(i, 1<<p.piece)
			}
		}
	}
	return nil
}

// noteDamage remembers what verify found of a file that looks as it did when it
// was added.
func (n *Node) noteDamage(f blockstore.File, c *checker) {
	if blockstore.StampOf(c.info) != f.Stamp {
		return
	}
	if len(c.bad) == 0 {
		n.logged("forget damage", n.damage.heal(f.Path))
		return
	}
	for _, d := range c.bad {
		if d.Block < c.m.NumBlocks() {
			n.lib.marked(f.Path, c.m.Block(d.Block), d.Piece, d.Offset, d.Reason)
		}
	}
}
