package blockstore_test

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

// victimVersions is how many versions a victim's recording has. The third is
// shorter again.
const victimVersions = 4

// victimBlock is what a version of a recording has at a place: some blocks are
// rewritten with every version, others never.
func victimBlock(name string, version, i int) manifest.Digest {
	rewritten := 0
	for v := range version + 1 {
		if i%5 == v%5 {
			rewritten = v
		}
	}
	d := manifest.Digest{31: byte(rewritten)}
	copy(d[:], fmt.Sprint(i, " ", name))
	return d
}

func victimManifest(name string, version int) *manifest.Manifest {
	n := []int{400, 700, 300, 500}[version]
	digests := make([]manifest.Digest, n)
	for i := range digests {
		digests[i] = victimBlock(name, version, i)
	}
	m, err := manifest.New(int64(n)*blockSize, digests)
	must(err)
	return m
}

// victimRecording takes a receipt through the versions of a recording. It says
// what it writes to the part before the receipt covers it.
func victimRecording(s *blockstore.Store, dir, name string) {
	var before *manifest.Manifest
	for version := range victimVersions {
		m := victimManifest(name, version)
		must(s.PutManifest(m))
		if before == nil {
			must(s.PutReceipt(blockstore.Receipt{
				Video: m.CID(), Part: filepath.Join(dir, name+".part"), Final: filepath.Join(dir, name), Recording: name,
			}))
			say("recording", name)
		} else {
			must(s.AdvanceReceipt(before.CID(), m))
			must(s.ReplaceVideo(before.CID(), blockstore.Video{CID: m.CID(), Name: name, Size: m.Size(), Recording: name}))
		}
		say("version", name, version)
		var updates []blockstore.ReceiptUpdate
		for i := range m.NumBlocks() {
			updates = append(updates, blockstore.ReceiptUpdate{Block: m.Block(i), Mask: full, Outboard: proofOf(m.Block(i))})
		}
		say("writing", name, version)
		must(s.CommitReceipt(m.CID(), updates))
		before = m
	}
	must(s.DropReceipt(before.CID()))
	say("given up", name)
}

// checkRecordings checks that a receipt of a recording covers only what was
// written to the part, with proofs.
func checkRecordings(t *testing.T, s *blockstore.Store, said []string) {
	t.Helper()
	version, written := make(map[string]int), make(map[string]int)
	for _, line := range said {
		words := strings.Fields(line)
		switch words[0] {
		case "recording":
			written[words[1]] = -1
		case "version", "writing":
			n, err := strconv.Atoi(words[2])
			if err != nil {
				t.Fatal(err)
			}
			if version[words[1]] = n; words[0] == "writing" {
				written[words[1]] = n
			}
		case "given":
			delete(written, words[2])
		}
	}
	for name, last := range written {
		checkRecording(t, s, name, version[name], last)
	}
}

func checkRecording(t *testing.T, s *blockstore.Store, name string, version, written int) {
	t.Helper()
	r, err := s.RecordingReceipt(name)
	if errors.Is(err, fs.ErrNotExist) && version == victimVersions-1 {
		return // given up just now
	}
	if err != nil {
		t.Error(err)
		return
	}
	m := victimManifest(name, version)
	if r.Video != m.CID() && version+1 < victimVersions {
		version++
		m = victimManifest(name, version)
	}
	if r.Video != m.CID() {
		t.Errorf("receipt of %s is of %s, said was version %d", name, r.Video, version)
		return
	}
	if _, err := s.Manifest(t.Context(), m.CID()); err != nil {
		t.Error(err)
	}
	on := victimManifest(name, max(written, 0)).NumBlocks() // the part
	for i := range r.Masks {
		if written < 0 || i >= on || victimBlock(name, version, i) != victimBlock(name, written, i) {
			t.Errorf("version %d of %s: block %d is claimed, version %d was written", version, name, i, written)
			return
		}
		if _, err := s.ReceiptOutboard(m.CID(), m.Block(i)); err != nil {
			t.Error(err)
		}
	}
}
