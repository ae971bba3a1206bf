package assemble_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vidsync/vidsync/assemble"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

// trial is one video that is fetched while the process or the power fails again
// and again.
type trial struct {
	t      *testing.T
	s      *sample
	rng    *rand.Rand
	seed   uint64
	base   string // holds the folders of the target
	index  string // folder of the index that counts
	target assemble.Target
	cuts   int
	kept   int // pieces that receipts had after cuts
}

func (r *trial) fatalf(format string, args ...any) {
	r.t.Helper()
	r.t.Fatalf("seed %d, after cut %d: %s", r.seed, r.cuts, fmt.Sprintf(format, args...))
}

func (r *trial) check(err error) {
	r.t.Helper()
	if err != nil {
		r.fatalf("%v", err)
	}
}

// run fetches what is missing.
func (r *trial) run(store *blockstore.Store, cfg assemble.Config) (err error) {
	f, err := assemble.Open(context.Background(), store, r.s.m, r.target, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := r.collect(f); err != nil {
		return err
	}
	_, err = f.Finish(context.Background(), blockstore.Video{})
	return err
}

func (r *trial) collect(f *assemble.File) error {
	ctx, stop := context.WithCancel(context.Background())
	var run, writers errgroup.Group
	run.Go(func() error { return f.Run(ctx) })
	if r.s.hasZeros() {
		writers.Go(func() error { return f.FillLocal(ctx, nil) })
	}
	have, _ := f.Holdings()
	refs := r.s.pieces()
	r.rng.Shuffle(len(refs), func(i, j int) { refs[i], refs[j] = refs[j], refs[i] })
	for w := range 2 {
		writers.Go(func() error {
			for i := w; i < len(refs); i += 2 {
				if have.Has(refs[i].block, refs[i].piece) {
					continue
				}
				if err := r.s.put(f, refs[i]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := writers.Wait()
	stop()
	return errors.Join(err, run.Wait())
}

// verify looks at what is left after a cut, raw and by way of Open.
func (r *trial) verify(finished bool) {
	store := openIndex(r.t, r.index)
	defer store.Close()
	r.verifyNames(finished)
	claimed := r.verifyReceipt(store)
	f, err := assemble.Open(context.Background(), store, r.s.m, r.target, assemble.Config{})
	r.check(err)
	defer f.Close()
	have, _ := f.Holdings()
	if finished && !f.Done() {
		r.fatalf("a finished video is not done: %v", r.list())
	}
	buf := make([]byte, manifest.PieceSize)
	for _, ref := range r.s.pieces() {
		if claimed.Has(ref.block, ref.piece) {
			r.kept++
			if !have.Has(ref.block, ref.piece) {
				r.fatalf("piece %v has a receipt and is asked again", ref)
			}
		}
		if !have.Has(ref.block, ref.piece) {
			continue
		}
		data, _, err := f.ReadPiece(context.Background(), ref.block, ref.piece, buf, nil)
		r.check(err)
		if want, _ := r.s.piece(ref); !bytes.Equal(data, want) {
			r.fatalf("piece %v is served with wrong bytes", ref)
		}
	}
	r.check(f.Close())
	r.verifyNames(finished)
}

// verifyNames checks that what has a final name is the video, and that there is
// nothing besides but part files, in the end only empty ones.
func (r *trial) verifyNames(finished bool) {
	whole := 0
	for _, path := range r.list() {
		if filepath.Base(path) == r.target.Name {
			whole++
			got, err := os.ReadFile(path)
			r.check(err)
			if !bytes.Equal(got, r.s.data) {
				r.fatalf("%s has the final name and is not whole", path)
			}
			continue
		}
		info, err := os.Stat(path)
		r.check(err)
		if filepath.Ext(path) != ".part" || finished && info.Size() > 0 {
			r.fatalf("%s of %d bytes is left", path, info.Size())
		}
	}
	if whole > 1 || finished && whole != 1 {
		r.fatalf("%d files have the final name", whole)
	}
}

// named tells whether a file has the final name already.
func (r *trial) named() bool {
	return slices.ContainsFunc(r.list(), func(path string) bool { return filepath.Base(path) == r.target.Name })
}

// list is every file in the folders of the video.
func (r *trial) list() []string {
	var paths []string
	for _, pattern := range []string{"new/folder/*", "new/other/*", "there/*"} {
		found, err := filepath.Glob(filepath.Join(r.base, pattern))
		r.check(err)
		paths = append(paths, found...)
	}
	return paths
}

// verifyReceipt reads what the receipt claims from the disk.
func (r *trial) verifyReceipt(store *blockstore.Store) *manifest.Holdings {
	claimed := manifest.NewHoldings(r.s.m.Size())
	receipt, err := store.Receipt(r.s.m.CID())
	if errors.Is(err, fs.ErrNotExist) {
		return claimed
	}
	r.check(err)
	for block, mask := range receipt.Masks {
		claimed.Add(block, mask)
	}
	if claimed.Pieces() == 0 {
		return claimed
	}
	data := r.bytesOf(receipt.Inode)
	for _, ref := range r.s.pieces() {
		if !claimed.Has(ref.block, ref.piece) {
			continue
		}
		want, _ := r.s.piece(ref)
		from := r.s.m.Block(ref.block).Offset + int64(ref.piece)*manifest.PieceSize
		if !bytes.Equal(data[from:from+int64(len(want))], want) {
			r.fatalf("receipt claims piece %v, which is wrong on disk", ref)
		}
	}
	return claimed
}

// bytesOf reads the file with that inode, whatever its name is.
func (r *trial) bytesOf(inode uint64) []byte {
	for _, path := range r.list() {
		info, err := os.Stat(path)
		r.check(err)
		if blockstore.StampOf(info).Inode == inode && info.Size() == r.s.m.Size() {
			data, err := os.ReadFile(path)
			r.check(err)
			return data
		}
	}
	r.fatalf("the file that the receipt speaks of is gone: %v", r.list())
	return nil
}

// hasZeros tells whether a block of the video is all zeros.
func (s *sample) hasZeros() bool {
	for i := range s.m.NumBlocks() {
		if s.m.Block(i).Digest == zeroFirst().m.Block(0).Digest {
			return true
		}
	}
	return false
}

// openIndex opens an index. A child of another test that is just being started
// has our handles until it runs, and with them the lock of an index that was
// closed.
func openIndex(t *testing.T, dir string) *blockstore.Store {
	t.Helper()
	for {
		store, err := blockstore.Open(dir, blockstore.Config{})
		if errors.Is(err, blockstore.ErrInUse) && t.Context().Err() == nil {
			pause()
			continue
		}
		check(t, err)
		return store
	}
}

// pause lets others run for a moment.
func pause() { time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond) }
