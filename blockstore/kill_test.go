package blockstore_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

// victimDir names, in the environment, the folder in which this binary is to
// work until it is killed.
const victimDir = "BLOCKSTORE_TEST_VICTIM"

const killRounds = 5

// TestKilled kills a process at random moments of imports, receipts, finishes
// and removals, and looks at what it left. The victim says each thing it has
// done after the store returned, so all it said must be there.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	for round := range killRounds {
		said := runVictim(t, dir)
		s, err := openVictim(dir)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		for _, line := range said {
			checkSaid(t, s, dir, said, line)
		}
		checkState(t, s, said)
		checkRecordings(t, s, said)
		checkJournal(t, s, dir, said)
		checkLog(t, s)
		checkWhole(t, s)
		if _, err := s.GC(t.Context()); err != nil {
			t.Error(err)
		}
		checkWhole(t, s)
		checkRecordings(t, s, said)
		for _, line := range said {
			checkSaid(t, s, dir, said, line)
		}
		checkClean(t, s)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
}

// runVictim runs a victim for a random while and returns the lines it said.
func runVictim(t *testing.T, dir string) (said []string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), victimDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	quota := 1 + rand.IntN(32) // lines after which it dies, within 20 ms
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		said = append(said, lines.Text())
		if len(said) == quota {
			time.AfterFunc(time.Duration(rand.IntN(20))*time.Millisecond, func() { cmd.Process.Kill() })
		}
	}
	err = cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != -1 {
		t.Fatalf("victim was not killed: %v", err)
	}
	return said
}

func openVictim(dir string) (*blockstore.Store, error) {
	return blockstore.Open(filepath.Join(dir, "index"), blockstore.Config{
		Journal:   filepath.Join(dir, "files.jsonl"),
		Journaled: func(j blockstore.Job) bool { return j.Kind == "batch" },
	})
}

// victim works in dir until it is killed.
func victim(dir string) {
	s, err := openVictim(dir)
	must(err)
	base := time.Now().UnixNano()
	for i := 0; ; i++ {
		name := fmt.Sprint(base, "-", i)
		victimState(s, base+int64(i))
		switch i % 4 {
		case 0:
			victimImport(s, dir, name)
		case 1:
			victimFetch(s, dir, name)
		case 2:
			m := victimImport(s, dir, name)
			say("removing", name)
			_, err := s.RemoveVideo(m.CID())
			must(err)
			say("removed", name, m.CID())
			_, err = s.GC(context.Background())
			must(err)
		case 3:
			victimRecording(s, dir, name)
		}
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func say(words ...any) { fmt.Println(words...) }

// victimTail makes the end of each video its own.
func victimTail(name string) []byte {
	return bytes.Repeat([]byte(name+"\n"), 3*pieceSize/(len(name)+1))
}

// victimFile makes a file of so many blocks of zeros and the tail.
func victimFile(path, name string, zeros int64) int64 {
	tail := victimTail(name)
	size := zeros*blockSize + int64(len(tail))
	f, err := os.Create(path)
	must(err)
	must(f.Truncate(size))
	_, err = f.WriteAt(tail, zeros*blockSize)
	must(err)
	must(f.Close())
	return size
}

// fullBlock tells that all but the tail is a hole.
func fullBlock(_, n int64) bool { return n == blockSize }

// victimImport adds a file, after it has given up an import that was long enough
// to be written to the index.
func victimImport(s *blockstore.Store, dir, name string) *manifest.Manifest {
	path := filepath.Join(dir, name)
	size := victimFile(path, name, 300)
	info, err := os.Stat(path)
	must(err)
	f, err := os.Open(path)
	must(err)
	defer f.Close()
	aborted := s.Import()
	for i, d := range digests(300) {
		must(aborted.Block(manifest.Block{Index: i, Digest: d, Len: blockSize}, manifest.NewOutboard(blockSize)))
	}
	aborted.Discard()
	im := s.Import()
	m, err := manifest.Split(context.Background(), f, size, manifest.SplitConfig{Hole: fullBlock, Block: im.Block})
	must(err)
	must(im.Commit(m, blockstore.File{Path: path, Stamp: blockstore.StampOf(info)}, blockstore.Video{Name: name}))
	say("added", name, m.CID())
	return m
}

// victimFetch makes a receipt grow and finishes it.
func victimFetch(s *blockstore.Store, dir, name string) {
	part, final := filepath.Join(dir, name+".part"), filepath.Join(dir, name)
	size := victimFile(part, name, 1)
	f, err := os.Open(part)
	must(err)
	defer f.Close()
	outboards := make(map[int]manifest.Outboard)
	m, err := manifest.Split(context.Background(), f, size, manifest.SplitConfig{Hole: fullBlock, Block: func(b manifest.Block, o manifest.Outboard) error {
		outboards[b.Index] = o
		return nil
	}})
	must(err)
	must(s.PutManifest(m))
	must(s.PutReceipt(blockstore.Receipt{Video: m.CID(), Part: part, Final: final, Inode: 1, Device: 2}))
	say("started", name, m.CID())
	held := manifest.NewHoldings(size)
	for block := range m.NumBlocks() {
		for _, mask := range []uint32{1, held.FullMask(block)} {
			u := blockstore.ReceiptUpdate{Block: m.Block(block), Mask: mask, Outboard: outboards[block]}
			must(s.CommitReceipt(m.CID(), []blockstore.ReceiptUpdate{u}))
			say("received", name, m.CID(), block, mask)
		}
	}
	must(os.Rename(part, final))
	say("finishing", name, m.CID())
	job := blockstore.Job{ID: m.CID().String(), Kind: "transcribe", Video: m.CID()}
	must(s.Finish(m, blockstore.File{Path: final, Origin: blockstore.Fetched}, blockstore.Video{Name: name}, job))
	say("fetched", name, m.CID())
}

// checkSaid checks that one thing the victim said it had done is so, unless it
// said later that it undid it.
func checkSaid(t *testing.T, s *blockstore.Store, dir string, said []string, line string) {
	t.Helper()
	words := strings.Fields(line)
	switch words[0] {
	case "removing", "finishing", "state", "recording", "version", "writing", "given":
		return
	}
	c, err := manifest.ParseVideoCID(words[2])
	if err != nil {
		t.Fatal(err)
	}
	_, videoErr := s.Video(c)
	switch words[0] {
	case "added":
		// Removal may have begun right after.
		if _, err := s.FileAt(filepath.Join(dir, words[1])); (err == nil) != (videoErr == nil) {
			t.Errorf("%s: video %v, file %v", line, videoErr, err)
		}
	case "removed":
		if !errors.Is(videoErr, fs.ErrNotExist) {
			t.Errorf("%s: video %v", line, videoErr)
		}
	case "fetched":
		if videoErr != nil {
			t.Errorf("%s: %v", line, videoErr)
		}
	case "started":
		received := 0
		for _, other := range said {
			if strings.HasPrefix(other, "received "+words[1]+" ") {
				received++
			}
		}
		checkReceipt(t, s, c, received, videoErr)
	}
}

// checkReceipt checks that there is either the finished video with its job or
// the receipt, never both, and that the receipt has what was said to be in it
// and at most one step more.
func checkReceipt(t *testing.T, s *blockstore.Store, c cid.Cid, received int, videoErr error) {
	t.Helper()
	r, err := s.Receipt(c)
	_, jobErr := s.Job(c.String())
	if (err == nil) == (videoErr == nil) || (videoErr == nil) != (jobErr == nil) {
		t.Errorf("%s: receipt %v, video %v, job %v", c, err, videoErr, jobErr)
	}
	if err != nil {
		return
	}
	steps := []map[int]uint32{{}, {0: 1}, {0: 1<<32 - 1}, {0: 1<<32 - 1, 1: 1}, {0: 1<<32 - 1, 1: 7}}
	if !maps.Equal(r.Masks, steps[received]) && (received == 4 || !maps.Equal(r.Masks, steps[received+1])) {
		t.Errorf("%s: masks are %#x after step %d", c, r.Masks, received)
	}
	m, err := s.Manifest(t.Context(), c)
	if err != nil {
		t.Errorf("%s: %v", c, err)
		return
	}
	for block := range r.Masks {
		if _, err := s.ReceiptOutboard(c, m.Block(block)); err != nil {
			t.Error(err)
		}
	}
}

// victimRecords is how many records victimState stores at once, some of them too
// long for a table.
const victimRecords = 20

// victimState stores one number in many records and in a job.
func victimState(s *blockstore.Store, n int64) {
	var changes []blockstore.Change
	for i := range victimRecords {
		value := make([]byte, 8+i*200)
		binary.BigEndian.PutUint64(value, uint64(n))
		changes = append(changes, blockstore.StoreState("count", fmt.Sprint(i), value))
	}
	changes = append(changes,
		blockstore.StoreJob(blockstore.Job{ID: fmt.Sprint(n), Kind: "batch"}), blockstore.ForgetJob(fmt.Sprint(n-1)))
	must(s.Apply(changes...))
	say("state", n)
}

// checkState checks that all records have one number, which is the last said or
// the next.
func checkState(t *testing.T, s *blockstore.Store, said []string) {
	t.Helper()
	last := ""
	for _, line := range said {
		if n, ok := strings.CutPrefix(line, "state "); ok {
			last = n
		}
	}
	seen := make(map[uint64]int)
	for r, err := range s.States("count", "") {
		if err != nil {
			t.Fatal(err)
		}
		seen[binary.BigEndian.Uint64(r.Value)]++
	}
	want, err := strconv.ParseUint(last, 10, 64)
	if err != nil {
		return // killed before
	}
	n := want
	if seen[n] == 0 {
		n++
	}
	if seen[n] != victimRecords || len(seen) != 1 {
		t.Errorf("records have %v after %d was stored", seen, want)
	}
	if _, err := s.Job(fmt.Sprint(n)); err != nil {
		t.Error(err)
	}
}

// checkJournal checks that the journal claims nothing that the index does not,
// and lacks nothing that was said to be done.
func checkJournal(t *testing.T, s *blockstore.Store, dir string, said []string) {
	t.Helper()
	claims := make(map[string]bool)
	damaged := 0
	for e, err := range blockstore.ReadJournal(filepath.Join(dir, "files.jsonl")) {
		switch {
		case err != nil:
			damaged++
		case e.Job.ID != "":
			if _, err := s.Job(e.Job.ID); err != nil {
				t.Errorf("journal claims a %v", err)
			}
		default:
			claims[e.File.Path] = true
			f, err := s.FileAt(e.File.Path)
			if err != nil || !f.Video.Equals(e.File.Video) {
				t.Errorf("journal claims that %s is %s: %v", e.File.Path, e.File.Video, err)
			}
		}
	}
	if damaged > killRounds {
		t.Errorf("%d damaged lines", damaged)
	}
	all := strings.Join(said, "\n") + "\n"
	for _, line := range said {
		words := strings.Fields(line)
		if words[0] != "added" && words[0] != "fetched" || strings.Contains(all, "removing "+words[1]+"\n") {
			continue
		}
		if !claims[filepath.Join(dir, words[1])] {
			t.Errorf("%s: the journal has not got it", line)
		}
	}
}

// checkLog checks that the log has every video, and no removal of one.
func checkLog(t *testing.T, s *blockstore.Store) {
	t.Helper()
	listed := 0
	for e, err := range s.LogSince(0) {
		if err != nil {
			t.Fatal(err)
		}
		_, err := s.Video(e.Video.CID)
		if (err != nil) != e.Removed {
			t.Errorf("log has %s, removed %v: %v", e.Video.CID, e.Removed, err)
		}
		if !e.Removed {
			listed++
		}
	}
	if n, _ := names(t, s, 0); len(n) != listed {
		t.Errorf("log has %d videos of %d", listed, len(n))
	}
}

// checkWhole checks that every video in the catalogue can be read.
func checkWhole(t *testing.T, s *blockstore.Store) {
	t.Helper()
	for v, err := range s.Videos() {
		if err != nil {
			t.Fatal(err)
		}
		m, err := s.Manifest(t.Context(), v.CID)
		if err != nil {
			t.Fatalf("%s: %v", v.Name, err)
		}
		if v.Recording != "" {
			continue // it is never whole
		}
		last := m.Block(m.NumBlocks() - 1)
		read(t, s, m.Block(0), 31, make([]byte, pieceSize))
		read(t, s, last, 0, victimTail(v.Name)[:pieceSize])
	}
}

// checkClean checks that GC left no proof of the imports that were given up.
func checkClean(t *testing.T, s *blockstore.Store) {
	t.Helper()
	if n := countProofs(t, s, digests(300)); n != 0 {
		t.Errorf("%d proofs of discarded imports are left", n)
	}
}
