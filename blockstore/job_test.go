package blockstore_test

import (
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vidsync/vidsync/blockstore"
)

func TestJobRoundTrip(t *testing.T) {
	s := open(t, t.TempDir())
	now := time.Unix(1700000000, 7).UTC()
	want := []blockstore.Job{
		{ID: "a"},
		{
			ID: "b", Kind: "transcribe", Video: someCID(t, 1), State: "waiting", Spec: []byte{0, 1, 2}, Attempts: 3,
			NotBefore: now, Created: now.Add(time.Second), Updated: now.Add(time.Minute), Message: "engine is missing",
		},
	}
	for _, j := range want {
		if err := s.PutJob(j); err != nil {
			t.Fatal(err)
		}
	}
	if got := jobs(t, s); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if got, err := s.Job("b"); err != nil || !reflect.DeepEqual(got, want[1]) {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := s.RemoveJob("b"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Job("b"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("removed job: %v", err)
	}
}

func jobs(t *testing.T, s *blockstore.Store) (jobs []blockstore.Job) {
	t.Helper()
	for j, err := range s.Jobs() {
		if err != nil {
			t.Fatal(err)
		}
		jobs = append(jobs, j)
	}
	return jobs
}

func TestJobRefused(t *testing.T) {
	s := open(t, t.TempDir())
	for name, j := range map[string]blockstore.Job{
		"no ID":     {},
		"long ID":   {ID: strings.Repeat("x", 300)},
		"long spec": {ID: "x", Spec: make([]byte, 1<<20)},
	} {
		if err := s.PutJob(j); err == nil {
			t.Errorf("%s: stored", name)
		}
	}
	if got := jobs(t, s); len(got) != 0 {
		t.Errorf("stored %v", got)
	}
}

func TestManyJobs(t *testing.T) {
	s := open(t, t.TempDir())
	for i := range 600 {
		if err := s.PutJob(blockstore.Job{ID: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if got := jobs(t, s); len(got) != 600 {
		t.Errorf("%d jobs listed, want 600", len(got))
	}
}
