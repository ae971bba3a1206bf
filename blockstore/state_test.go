package blockstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vidsync/vidsync/blockstore"
)

func state(t *testing.T, s *blockstore.Store, kind, prefix string) (keys []string) {
	t.Helper()
	for r, err := range s.States(kind, prefix) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Kind != kind {
			t.Errorf("record of kind %q among %q", r.Kind, kind)
		}
		keys = append(keys, r.Key+"="+string(r.Value))
	}
	return keys
}

func putState(t *testing.T, s *blockstore.Store, kind, key, value string) {
	t.Helper()
	if err := s.PutState(kind, key, []byte(value)); err != nil {
		t.Fatal(err)
	}
}

func TestStateOutlivesStore(t *testing.T) {
	dir := t.TempDir()
	s, err := blockstore.Open(dir, blockstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("v", blockstore.MaxStateValue)
	putState(t, s, "cursor", "peer \xff\x00", "1")
	putState(t, s, "cursor", "peer \xff\x00", "2")
	putState(t, s, "cursor", "", "")
	putState(t, s, "cursor", strings.Repeat("k", blockstore.MaxStateKey), long)
	putState(t, s, "curso", "r", "other kind")
	if err := s.DropState("curso", "nothing"); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	if got, err := s.State("cursor", "peer \xff\x00"); err != nil || string(got) != "2" {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := s.State("cursor", strings.Repeat("k", blockstore.MaxStateKey)); err != nil || string(got) != long {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	if got := state(t, s, "cursor", ""); len(got) != 3 || got[0] != "=" {
		t.Errorf("cursors are %.100q", got)
	}
	if err := s.DropState("cursor", ""); err != nil {
		t.Error(err)
	}
	for _, key := range []string{"", "never"} {
		if _, err := s.State("cursor", key); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("record %q: %v, want fs.ErrNotExist", key, err)
		}
	}
}

func TestStatesByPrefix(t *testing.T) {
	s := open(t, t.TempDir())
	for _, key := range []string{"b/2", "a/1", "b", "b/1", "c", "b\xff"} {
		putState(t, s, "folder", key, "")
		putState(t, s, "folders", key, "")
	}
	for prefix, want := range map[string][]string{
		"":   {"a/1=", "b=", "b/1=", "b/2=", "b\xff=", "c="},
		"b":  {"b=", "b/1=", "b/2=", "b\xff="},
		"b/": {"b/1=", "b/2="},
		"d":  nil,
	} {
		if got := state(t, s, "folder", prefix); !slices.Equal(got, want) {
			t.Errorf("prefix %q: %q, want %q", prefix, got, want)
		}
	}
}

// More records than are read at a time, changed while they are listed.
func TestStatesChangeWhileListed(t *testing.T) {
	s := open(t, t.TempDir())
	big := bytes.Repeat([]byte{1}, 50<<10) // a page is at most 1 MiB
	for i := range 300 {
		value := big
		if i >= 60 {
			value = nil
		}
		if err := s.PutState("file", fmt.Sprintf("%04d", i), value); err != nil {
			t.Fatal(err)
		}
	}
	seen := 0
	for r, err := range s.States("file", "") {
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("%04d", seen); r.Key != want {
			t.Fatalf("got %s, want %s", r.Key, want)
		}
		if seen++; seen%2 == 0 {
			err = s.DropState("file", r.Key)
		} else {
			err = s.PutState("file", r.Key, []byte("seen"))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if left := state(t, s, "file", ""); seen != 300 || len(left) != 150 || left[149] != "0298=seen" {
		t.Errorf("%d seen, %d left", seen, len(left))
	}
}

func TestStateRefused(t *testing.T) {
	s := open(t, t.TempDir())
	many := slices.Repeat([]blockstore.Change{blockstore.StoreState("k", "", nil)}, blockstore.MaxChanges)
	large := slices.Repeat([]blockstore.Change{blockstore.StoreState("k", "", make([]byte, 60<<10))}, 18)
	for name, err := range map[string]error{
		"no kind":     s.PutState("", "k", nil),
		"long kind":   s.PutState(strings.Repeat("k", blockstore.MaxStateKind+1), "k", nil),
		"capital":     s.PutState("Kind", "k", nil),
		"zero":        s.PutState("k\x00", "k", nil),
		"long key":    s.PutState("k", strings.Repeat("k", blockstore.MaxStateKey+1), nil),
		"long value":  s.PutState("k", "k", make([]byte, blockstore.MaxStateValue+1)),
		"drop":        s.DropState("K", "k"),
		"one is bad":  s.Apply(blockstore.StoreState("k", "good", nil), blockstore.ForgetState("", "")),
		"job is bad":  s.Apply(blockstore.StoreState("k", "good", nil), blockstore.StoreJob(blockstore.Job{})),
		"513 changes": s.Apply(append(many, blockstore.ForgetState("k", ""))...),
		"over 1 MiB":  s.Apply(large...),
	} {
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := state(t, s, "k", ""); len(got) != 0 {
		t.Errorf("stored %q", got)
	}
	if _, err := s.State("K", ""); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("state of no kind: %v", err)
	}
	for _, err := range s.States("K", "") {
		if err == nil {
			t.Error("states of no kind")
		}
	}
}

// The most that Apply takes fits into a transaction.
func TestApplyAtLimit(t *testing.T) {
	s := open(t, t.TempDir())
	var changes []blockstore.Change
	for i := range blockstore.MaxChanges {
		key := fmt.Sprintf("%04d", i)
		changes = append(changes, blockstore.StoreState("k", key, make([]byte, blockstore.MaxChangeBytes/blockstore.MaxChanges-5)))
	}
	if err := s.Apply(changes...); err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(); err != nil {
		t.Error(err)
	}
	if got := state(t, s, "k", ""); len(got) != blockstore.MaxChanges {
		t.Errorf("%d records", len(got))
	}
}

func TestApply(t *testing.T) {
	s := open(t, t.TempDir())
	putState(t, s, "k", "old", "")
	if err := s.PutJob(blockstore.Job{ID: "old"}); err != nil {
		t.Fatal(err)
	}
	err := s.Apply(
		blockstore.StoreState("k", "new", []byte("1")), blockstore.ForgetState("k", "old"),
		blockstore.StoreJob(blockstore.Job{ID: "new", Kind: "fetch"}), blockstore.ForgetJob("old"),
		blockstore.StoreState("k", "new", []byte("2")), blockstore.ForgetJob("never"),
	)
	if err != nil {
		t.Fatal(err)
	}
	if got := state(t, s, "k", ""); !slices.Equal(got, []string{"new=2"}) {
		t.Errorf("records are %q", got)
	}
	if got := jobs(t, s); len(got) != 1 || got[0].ID != "new" || got[0].Kind != "fetch" {
		t.Errorf("jobs are %+v", got)
	}
}

// The journal of files is not in the way of state, nor the other way round.
func TestStateIsNoVideo(t *testing.T) {
	s, dir := open(t, t.TempDir()), t.TempDir()
	m := add(t, s, write(t, filepath.Join(dir, "a"), noise(1, 100)))
	putState(t, s, "k", "a", "")
	if _, err := s.GC(t.Context()); err != nil {
		t.Fatal(err)
	}
	read(t, s, m.Block(0), 0, noise(1, 100))
	if got := state(t, s, "k", ""); len(got) != 1 {
		t.Errorf("records are %q", got)
	}
}
