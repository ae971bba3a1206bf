package blockstore_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

const full = 1<<32 - 1

// version makes a manifest of one block for each letter, the last of so many
// pieces.
func version(t testing.TB, letters string, tail int) *manifest.Manifest {
	t.Helper()
	digests := make([]manifest.Digest, len(letters))
	for i := range letters {
		digests[i] = manifest.Digest{letters[i], 7}
	}
	m, err := manifest.New(int64(len(letters)-1)*blockSize+int64(tail)*pieceSize, digests)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// proofOf is a made-up proof that tells blocks from each other.
func proofOf(b manifest.Block) manifest.Outboard {
	return bytes.Repeat([]byte{b.Digest[0]}, manifest.OutboardLen(b.Len))
}

// begin starts a receipt of a recording's version that covers these pieces.
func begin(t testing.TB, s *blockstore.Store, recording string, m *manifest.Manifest, masks map[int]uint32) {
	t.Helper()
	if err := s.PutManifest(m); err != nil {
		t.Fatal(err)
	}
	r := blockstore.Receipt{Video: m.CID(), Part: "/v.part", Final: "/v", Inode: 1, Device: 2, Recording: recording}
	if err := s.PutReceipt(r); err != nil {
		t.Fatal(err)
	}
	cover(t, s, m, masks)
}

func cover(t testing.TB, s *blockstore.Store, m *manifest.Manifest, masks map[int]uint32) {
	t.Helper()
	var updates []blockstore.ReceiptUpdate
	for i, mask := range masks {
		updates = append(updates, blockstore.ReceiptUpdate{Block: m.Block(i), Mask: mask, Outboard: proofOf(m.Block(i))})
	}
	if err := s.CommitReceipt(m.CID(), updates); err != nil {
		t.Fatal(err)
	}
}

// wantReceipt checks what a receipt covers, and that it has the proofs.
func wantReceipt(t testing.TB, s *blockstore.Store, recording string, m *manifest.Manifest, masks map[int]uint32) {
	t.Helper()
	r, err := s.RecordingReceipt(recording)
	if err != nil {
		t.Fatal(err)
	}
	if r.Video != m.CID() || r.Part != "/v.part" || r.Final != "/v" || r.Inode != 1 || r.Device != 2 || r.Recording != recording {
		t.Errorf("receipt is %+v", r)
	}
	if !maps.Equal(r.Masks, masks) {
		t.Errorf("masks are %v, want %v", r.Masks, masks)
	}
	for i := range masks {
		if o, err := s.ReceiptOutboard(m.CID(), m.Block(i)); err != nil || !bytes.Equal(o, proofOf(m.Block(i))) {
			t.Errorf("proof of block %d: %d bytes, %v", i, len(o), err)
		}
	}
	if _, err := s.Manifest(t.Context(), m.CID()); err != nil {
		t.Error(err)
	}
}

// A receipt keeps what both versions have at the same place, and nothing else;
// a GC before, between and after changes nothing.
func TestAdvanceReceipt(t *testing.T) {
	for _, tt := range []struct {
		name       string
		from       string
		tail       int
		masks      map[int]uint32
		to         string
		toTail     int
		want       map[int]uint32
		gone, left string // blocks without and with a proof
	}{
		{"longer", "abc", 32, map[int]uint32{0: full, 2: 5}, "abcd", 3, map[int]uint32{0: full, 2: 5}, "bcd", "a"},
		{"last block grows", "ab", 3, map[int]uint32{0: 1, 1: 7}, "aB", 9, map[int]uint32{0: 1}, "abB", ""},
		{"last block of another length and the same digest", "ab", 3, map[int]uint32{1: 7}, "ab", 9, map[int]uint32{}, "b", ""},
		{"head anew", "abc", 2, map[int]uint32{0: full, 1: full, 2: 3}, "Abc", 2, map[int]uint32{1: full, 2: 3}, "aA", "bc"},
		{"shorter", "abc", 2, map[int]uint32{0: full, 1: full, 2: 3}, "ab", 32, map[int]uint32{0: full, 1: full}, "c", "ab"},
		{"all anew", "abc", 2, map[int]uint32{0: full, 1: 1, 2: 3}, "ABC", 2, map[int]uint32{}, "abcABC", ""},
		{"shifted", "abc", 2, map[int]uint32{0: full, 1: full}, "xab", 2, map[int]uint32{}, "abc", ""},
		{"repeats, one stays", "aabaaaaa", 32, map[int]uint32{0: full, 1: full, 3: full, 4: full, 5: 1, 6: full, 7: full}, "bbbbbaab", 32, map[int]uint32{5: 1, 6: full}, "b", "a"},
		{"repeats, a part stays", "aaa", 32, map[int]uint32{0: full, 2: 6}, "bba", 32, map[int]uint32{2: 6}, "ab", ""},
		{"to nothing", "abc", 2, map[int]uint32{0: full, 1: 1}, "z", 1, map[int]uint32{}, "abcz", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, t.TempDir())
			from, to := version(t, tt.from, tt.tail), version(t, tt.to, tt.toTail)
			begin(t, s, "r", from, tt.masks)
			collect(t, s)
			wantReceipt(t, s, "r", from, tt.masks)
			if err := s.PutManifest(to); err != nil {
				t.Fatal(err)
			}
			collect(t, s)
			if err := s.AdvanceReceipt(from.CID(), to); err != nil {
				t.Fatal(err)
			}
			wantReceipt(t, s, "r", to, tt.want)
			if _, err := s.Receipt(from.CID()); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("receipt of the version before: %v", err)
			}
			if _, err := s.ManifestNode(from.CID()); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("manifest of the version before: %v", err)
			}
			if n := countProofs(t, s, letters(tt.gone)); n != 0 {
				t.Errorf("%d proofs are left of %q", n, tt.gone)
			}
			if n := countProofs(t, s, letters(tt.left)); n != len(tt.left) {
				t.Errorf("%d proofs of %q", n, tt.left)
			}
			if freed, err := s.GC(t.Context()); err != nil || freed.Items != 0 {
				t.Errorf("%+v was left, %v", freed, err)
			}
			wantReceipt(t, s, "r", to, tt.want)
		})
	}
}

func letters(text string) (out []manifest.Digest) {
	for i := range text {
		out = append(out, manifest.Digest{text[i], 7})
	}
	return out
}

func collect(t testing.TB, s *blockstore.Store) {
	t.Helper()
	if _, err := s.GC(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// What cannot be done changes nothing.
func TestAdvanceReceiptRefuses(t *testing.T) {
	s := open(t, t.TempDir())
	from, to, busy := version(t, "abc", 2), version(t, "abcd", 2), version(t, "abce", 2)
	masks := map[int]uint32{0: full, 2: 3}
	begin(t, s, "r", from, masks)
	begin(t, s, "other", busy, nil)
	for _, tt := range []struct {
		name     string
		from, to *manifest.Manifest
		want     error
	}{
		{"no manifest of to", from, to, fs.ErrNotExist},
		{"no receipt of from", to, from, fs.ErrNotExist},
		{"a receipt of to", from, busy, fs.ErrExist},
		{"itself", from, from, fs.ErrExist},
	} {
		if err := s.AdvanceReceipt(tt.from.CID(), tt.to); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		wantReceipt(t, s, "r", from, masks)
	}
	noManifest := blockstore.Receipt{Video: to.CID(), Part: "/v.part", Final: "/v", Recording: "third"}
	if err := s.PutReceipt(noManifest); err != nil {
		t.Fatal(err)
	}
	next := version(t, "abcdef", 2)
	if err := s.PutManifest(next); err != nil {
		t.Fatal(err)
	}
	if err := s.AdvanceReceipt(to.CID(), next); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no manifest of from: %v", err)
	}
}

// A version in the catalogue keeps its manifest when its receipt moves on, and
// places of an earlier receipt of it are still found.
func TestAdvanceReceiptKeepsWhatIsListed(t *testing.T) {
	s := open(t, t.TempDir())
	from, to := version(t, "abc", 2), version(t, "abcd", 2)
	begin(t, s, "r", from, map[int]uint32{0: full})
	if err := s.PutVideo(blockstore.Video{CID: from.CID(), Name: "v", Size: from.Size()}); err != nil {
		t.Fatal(err)
	}
	if err := s.PutManifest(to); err != nil {
		t.Fatal(err)
	}
	if err := s.AdvanceReceipt(from.CID(), to); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Manifest(t.Context(), from.CID()); err != nil {
		t.Error(err)
	}
}

// A recording has one receipt.
func TestRecordingReceipts(t *testing.T) {
	s := open(t, t.TempDir())
	a, b, c := version(t, "a", 2), version(t, "b", 2), version(t, "c", 2)
	begin(t, s, "r", a, map[int]uint32{0: 3})
	begin(t, s, "r", b, map[int]uint32{0: 1})
	wantReceipt(t, s, "r", b, map[int]uint32{0: 1})
	if _, err := s.Receipt(a.CID()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("receipt of the version before: %v", err)
	}
	begin(t, s, "", c, map[int]uint32{0: 2})
	if err := s.NameReceipt(c.CID(), "r"); err != nil {
		t.Fatal(err)
	}
	wantReceipt(t, s, "r", c, map[int]uint32{0: 2})
	if _, err := s.Receipt(b.CID()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("receipt of the version before: %v", err)
	}
	if err := s.NameReceipt(a.CID(), "r"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("name without a receipt: %v", err)
	}
	for _, none := range []string{"", "s"} {
		if _, err := s.RecordingReceipt(none); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("receipt of %q: %v", none, err)
		}
	}
	long := strings.Repeat("r", blockstore.MaxRecording+1)
	if err := s.NameReceipt(c.CID(), long); err == nil {
		t.Error("a name that is too long is taken")
	}
	if err := s.PutReceipt(blockstore.Receipt{Video: c.CID(), Part: "/p", Final: "/f", Recording: long}); err == nil {
		t.Error("a receipt with a name that is too long is taken")
	}
	wantReceipt(t, s, "r", c, map[int]uint32{0: 2})
}

// While others collect garbage and fetch, a receipt goes through its versions,
// and the last one is finished with every block in its place.
func TestAdvanceReceiptWhileOthersWork(t *testing.T) {
	s := open(t, t.TempDir())
	done := make(chan struct{})
	finished := make(chan error, 2)
	for worker := range 2 {
		go func() { finished <- disturb(s, worker, done) }()
	}
	a, b := version(t, strings.Repeat("abcd", 100)+"e", 2), version(t, strings.Repeat("abxd", 150)+"f", 2)
	masks, stay := map[int]uint32{}, map[int]uint32{}
	for i := range a.NumBlocks() - 1 {
		masks[i] = full
		if i%4 != 2 {
			stay[i] = full
		}
	}
	begin(t, s, "r", a, masks)
	for range 5 {
		for _, step := range [][2]*manifest.Manifest{{a, b}, {b, a}} {
			if err := s.PutManifest(step[1]); err != nil {
				t.Fatal(err)
			}
			if err := s.AdvanceReceipt(step[0].CID(), step[1]); err != nil {
				t.Fatal(err)
			}
			wantReceipt(t, s, "r", step[1], stay)
		}
		cover(t, s, a, masks)
	}
	close(done)
	for range 2 {
		if err := <-finished; err != nil {
			t.Error(err)
		}
	}
}

// disturb collects garbage, or fetches another recording of the same blocks,
// until done.
func disturb(s *blockstore.Store, worker int, done <-chan struct{}) error {
	m, err := manifest.New(blockSize, []manifest.Digest{{'a', 7}})
	if err != nil {
		return err
	}
	for {
		select {
		case <-done:
			return nil
		default:
		}
		if worker == 0 {
			if _, err := s.GC(context.Background()); err != nil {
				return err
			}
			continue
		}
		update := blockstore.ReceiptUpdate{Block: m.Block(0), Mask: full, Outboard: proofOf(m.Block(0))}
		err := errors.Join(s.PutManifest(m), s.PutReceipt(blockstore.Receipt{Video: m.CID(), Part: "/o.part", Final: "/o", Recording: "o"}),
			s.CommitReceipt(m.CID(), []blockstore.ReceiptUpdate{update}), s.DropReceipt(m.CID()))
		if err != nil {
			return err
		}
	}
}

// ReplaceVideo leaves no removal, and no manifest.
func TestReplaceVideo(t *testing.T) {
	s := open(t, t.TempDir())
	one, two := version(t, "a", 2), version(t, "ab", 2)
	for _, m := range []*manifest.Manifest{one, two} {
		if err := s.PutManifest(m); err != nil {
			t.Fatal(err)
		}
	}
	video := func(m *manifest.Manifest) blockstore.Video {
		return blockstore.Video{CID: m.CID(), Name: "cam", Size: m.Size(), Recording: "r"}
	}
	begin(t, s, "r", one, map[int]uint32{0: 1})
	for _, old := range []cid.Cid{cid.Undef, one.CID(), two.CID()} { // none, itself, not listed
		if err := s.ReplaceVideo(old, video(one)); err != nil {
			t.Fatal(err)
		}
	}
	changed := s.Changed()
	if err := s.ReplaceVideo(one.CID(), video(two)); err != nil {
		t.Fatal(err)
	}
	<-changed
	var log []blockstore.LogEntry
	for e, err := range s.LogSince(0) {
		if err != nil {
			t.Fatal(err)
		}
		log = append(log, e)
	}
	if len(log) != 1 || log[0].Removed || log[0].Video.CID != two.CID() {
		t.Errorf("log is %+v", log)
	}
	wantReceipt(t, s, "r", one, map[int]uint32{0: 1}) // for AdvanceReceipt
	if err := s.DropReceipt(one.CID()); err != nil {
		t.Fatal(err)
	}
	if err := s.ReplaceVideo(two.CID(), video(one)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ManifestNode(two.CID()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("manifest of what was replaced: %v", err)
	}
}

// An entry with files on record stays, and so does what is served of it.
func TestReplaceVideoKeepsFiles(t *testing.T) {
	s, dir := open(t, t.TempDir()), t.TempDir()
	m := add(t, s, write(t, dir+"/a", noise(1, 1000)))
	v := version(t, "a", 2)
	if err := s.PutManifest(v); err != nil {
		t.Fatal(err)
	}
	if err := s.ReplaceVideo(m.CID(), blockstore.Video{CID: v.CID(), Name: "b"}); err != nil {
		t.Fatal(err)
	}
	if got, _ := names(t, s, 0); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("catalogue has %v", got)
	}
	read(t, s, m.Block(0), 0, noise(1, 1000))
	long := blockstore.Video{CID: v.CID(), Recording: strings.Repeat("r", blockstore.MaxRecording+1)}
	if err := s.ReplaceVideo(m.CID(), long); err == nil {
		t.Error("a name that is too long is taken")
	}
}
