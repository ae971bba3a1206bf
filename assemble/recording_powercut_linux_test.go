package assemble_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/vidsync/vidsync/assemble"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

// Whenever the power is cut while a part file goes from version to version, back
// and forth: what the receipt covers is right on disk, and goes over to the next
// version.
func TestPowerCutOfRecording(t *testing.T) {
	t.Parallel()
	r := newTrial(t, *seed)
	cfg := recordingConfig("r1")
	for cuts := 0; cuts < shortCuts; cuts++ {
		version := r.rng.IntN(len(growth()))
		r.s = growth()[version]
		r.attemptTo(func(store *blockstore.Store, c assemble.Config, cut func()) error {
			c.Recording = cfg.Recording
			if err := r.grow(store, c); err != nil {
				return err
			}
			cut()
			return errPowerCut
		})
		r.cuts++
		r.verifyRecording(r.rng.IntN(len(growth())))
	}
	r.s = growth()[2]
	store := openIndex(t, r.index)
	defer store.Close()
	f := openFile(t, store, r.s, r.target, cfg)
	check(t, r.s.putAll(f))
	wantFile(t, finish(t, f), r.s.data)
	check(t, f.Close())
	t.Logf("%d pieces were kept over %d cuts", r.kept, r.cuts)
}

// grow fetches some pieces of the version.
func (r *trial) grow(store *blockstore.Store, cfg assemble.Config) error {
	f, err := assemble.Open(context.Background(), store, r.s.m, r.target, cfg)
	if err != nil {
		return err
	}
	all := r.s.pieces()
	r.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for i, ref := range all[:len(all)/4] {
		if err = r.s.put(f, ref); err == nil && i%3 == 2 {
			err = f.Checkpoint()
		}
		if err != nil {
			break
		}
	}
	return errors.Join(err, f.Close())
}

// verifyRecording reads what the receipt claims from the disk, and then opens
// some version.
func (r *trial) verifyRecording(version int) {
	r.t.Helper()
	store := openIndex(r.t, r.index)
	defer store.Close()
	r.verifyNames(false)
	if receipt, err := store.RecordingReceipt("r1"); err == nil && len(receipt.Masks) > 0 {
		r.verifyClaims(receipt)
	}
	held := held(r.t, store, version)
	r.kept += held.Pieces()
	f, err := assemble.Open(context.Background(), store, growth()[version].m, r.target, recordingConfig("r1"))
	r.check(err)
	wantHeld(r.t, f, growth()[version], held)
	r.check(f.Close())
	if r.t.Failed() {
		r.fatalf("version %d", version)
	}
}

func (r *trial) verifyClaims(receipt blockstore.Receipt) {
	data, err := os.ReadFile(receipt.Part)
	r.check(err)
	for _, s := range growth() {
		if s.m.CID() != receipt.Video {
			continue
		}
		for block, mask := range receipt.Masks {
			for piece := range manifest.PiecesPerBlock {
				if mask&(1<<piece) == 0 {
					continue
				}
				want, _ := s.piece(pieceRef{block, piece})
				from := int(s.m.Block(block).Offset) + piece*manifest.PieceSize
				if len(data) < from+len(want) || !bytes.Equal(data[from:from+len(want)], want) {
					r.fatalf("receipt of %s claims piece %d of block %d, which is wrong on disk", filepath.Base(receipt.Part), piece, block)
				}
			}
		}
		return
	}
	r.fatalf("receipt of an unknown video")
}
