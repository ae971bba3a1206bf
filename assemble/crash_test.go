package assemble_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vidsync/vidsync/assemble"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

const (
	crashRounds = 8
	crashPause  = 2 * time.Millisecond // between the pieces of one writer
)

// child fetches the video in dir/source into dir/out, slowly.
func child(dir string) error {
	data, err := os.ReadFile(filepath.Join(dir, "source"))
	if err != nil {
		return err
	}
	s, err := newSample(data)
	if err != nil {
		return err
	}
	store, err := blockstore.Open(filepath.Join(dir, "index"), blockstore.Config{})
	if err != nil {
		return err
	}
	target := assemble.Target{Dir: filepath.Join(dir, "out"), Name: "v.mp4"}
	f, err := assemble.Open(context.Background(), store, s.m, target,
		assemble.Config{ReceiptEvery: 3 * time.Millisecond, ReceiptBytes: 4 << 20})
	if err != nil {
		return err
	}
	if _, err := os.Stdout.WriteString("writing\n"); err != nil {
		return err
	}
	if err := childFetch(f, s); err != nil {
		return err
	}
	if _, err := f.Finish(context.Background(), blockstore.Video{}); err != nil {
		return err
	}
	return errors.Join(f.Close(), store.Close())
}

func childFetch(f *assemble.File, s *sample) error {
	ctx, stop := context.WithCancel(context.Background())
	var run, writers errgroup.Group
	run.Go(func() error { return f.Run(ctx) })
	have, _ := f.Holdings()
	refs := s.pieces()
	rand.Shuffle(len(refs), func(i, j int) { refs[i], refs[j] = refs[j], refs[i] })
	for w := range 2 {
		writers.Go(func() error {
			for i := w; i < len(refs); i += 2 {
				if have.Has(refs[i].block, refs[i].piece) {
					continue
				}
				if err := s.put(f, refs[i]); err != nil {
					return err
				}
				time.Sleep(crashPause)
			}
			return nil
		})
	}
	err := writers.Wait()
	stop()
	return errors.Join(err, run.Wait())
}

// However often the process is killed: what receipts claim is right on disk,
// they only grow, and nothing unfinished has the final name.
func TestKill(t *testing.T) {
	t.Parallel()
	s, dir := small(), t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "source"), s.data, 0o644))
	claimed, killed := 0, 0
	for round := range crashRounds {
		done := runChild(t, dir, round)
		if done {
			break
		}
		killed++
		claimed = max(claimed, checkAfterKill(t, dir, s, claimed))
	}
	if killed == 0 {
		t.Fatal("no round was killed")
	}
	t.Logf("killed %d times, receipts then claimed %d of %d pieces", killed, claimed, len(s.pieces()))
	store, err := blockstore.Open(filepath.Join(dir, "index"), blockstore.Config{})
	check(t, err)
	defer store.Close()
	f := openFile(t, store, s, assemble.Target{Dir: filepath.Join(dir, "out"), Name: "v.mp4"}, assemble.Config{})
	if have, _ := f.Holdings(); have.Pieces() < claimed {
		t.Fatalf("%d pieces held, receipts claimed %d", have.Pieces(), claimed)
	}
	check(t, s.putAll(f))
	path := finish(t, f)
	wantFile(t, path, s.data)
	wantNames(t, filepath.Join(dir, "out"), "v.mp4")
	wantRecorded(t, store, path, s)
	check(t, f.Close())
}

// runChild runs the child and kills it a random time after it began to write.
// It tells whether the child was done before. The rounds get longer.
func runChild(t *testing.T, dir string, round int) (done bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		_ = cmd.Wait()
		t.Fatalf("child: %v: %s", err, &stderr)
	}
	killer := time.AfterFunc(time.Duration(rand.IntN(15+5*round))*time.Millisecond, func() { _ = cmd.Process.Kill() })
	defer killer.Stop()
	err = cmd.Wait()
	if err == nil {
		return true
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.Exited() {
		t.Fatalf("child: %v: %s", err, &stderr)
	}
	return false
}

// checkAfterKill returns how many pieces the receipt claims, or all if the
// video is under its final name.
func checkAfterKill(t *testing.T, dir string, s *sample, before int) int {
	t.Helper()
	store, err := blockstore.Open(filepath.Join(dir, "index"), blockstore.Config{})
	check(t, err)
	defer store.Close()
	final := filepath.Join(dir, "out", "v.mp4")
	if _, err := os.Lstat(final); err == nil {
		wantFile(t, final, s.data)
		return len(s.pieces())
	}
	r, err := store.Receipt(s.m.CID())
	check(t, err)
	part, err := os.ReadFile(r.Part)
	check(t, err)
	have := manifest.NewHoldings(s.m.Size())
	for block, mask := range r.Masks {
		have.Add(block, mask)
	}
	for _, ref := range s.pieces() {
		if !have.Has(ref.block, ref.piece) {
			continue
		}
		want, _ := s.piece(ref)
		from := s.m.Block(ref.block).Offset + int64(ref.piece)*manifest.PieceSize
		if !bytes.Equal(part[from:from+int64(len(want))], want) {
			t.Fatalf("receipt claims piece %v, which is wrong on disk", ref)
		}
	}
	if have.Pieces() < before {
		t.Fatalf("receipt claims %d pieces, it was %d", have.Pieces(), before)
	}
	return have.Pieces()
}

// A crash between the rename and the index is healed by the next Open.
func TestCrashAfterRename(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		rename func(old, new string) error
	}{
		{"renamed", os.Rename},
		{"linked under both names", os.Link},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store, s, dir := newStore(t), tiny(), t.TempDir()
			f := openFile(t, store, s, assemble.Target{Dir: dir, Name: "a.mp4"}, assemble.Config{})
			check(t, s.putAll(f))
			check(t, f.Close())
			check(t, tt.rename(f.Part(), f.Path()))
			f = openFile(t, store, s, assemble.Target{Dir: dir, Name: "a.mp4", Exact: true}, assemble.Config{})
			if !f.Done() {
				t.Fatal("not done: the video would be fetched again")
			}
			wantServed(t, f, s)
			path := finish(t, f)
			wantNames(t, dir, "a.mp4")
			wantFile(t, path, s.data)
			wantRecorded(t, store, path, s)
			wantServed(t, f, s)
			if file, err := store.FileAt(path); err != nil || file.Origin != blockstore.Fetched {
				t.Fatalf("file record %+v, %v", file, err)
			}
		})
	}
}

// A crash between the final receipt and the rename needs no bytes again.
func TestCrashBeforeRename(t *testing.T) {
	t.Parallel()
	store, s, dir := newStore(t), tiny(), t.TempDir()
	f := openFile(t, store, s, assemble.Target{Dir: dir, Name: "a.mp4"}, assemble.Config{})
	check(t, s.putAll(f))
	check(t, f.Close())
	f = openFile(t, store, s, assemble.Target{Dir: dir, Name: "a.mp4"}, assemble.Config{})
	if have, _ := f.Holdings(); !have.Complete() || f.Done() {
		t.Fatalf("complete %v, done %v", have.Complete(), f.Done())
	}
	wantFile(t, finish(t, f), s.data)
}

func TestPutAfterClose(t *testing.T) {
	t.Parallel()
	store, s := newStore(t), tiny()
	f := openFile(t, store, s, assemble.Target{Dir: t.TempDir(), Name: "a"}, assemble.Config{})
	check(t, f.Close())
	wantErr(t, s.put(f, pieceRef{0, 0}), fs.ErrClosed)
}
