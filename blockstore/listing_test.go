package blockstore

import (
	"testing"
	"time"
)

// listNames is a listing whose consumer calls at before it takes the entry of that
// number; it gives the names in order.
func listNames(t *testing.T, s *Store, at int, change func()) (names []string) {
	t.Helper()
	for l, err := range s.List("transcribe/") {
		if err != nil {
			t.Fatal(err)
		}
		if len(l.Files) != 1 || l.Files[0].Video != l.CID {
			t.Fatalf("%s has files %+v", l.Name, l.Files)
		}
		if names = append(names, l.Name); len(names) == at {
			change()
		}
	}
	return names
}

func TestListWhileItChanges(t *testing.T) {
	dir := t.TempDir()
	const videos = 2 * pageEntries
	fillVideos(t, dir, videos)
	s, err := Open(dir, Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	names := listNames(t, s, 10, func() {
		for v, err := range s.Videos() { // those that were listed and those that were not
			if err != nil {
				t.Fatal(err)
			}
			if v.Seq%(videos/4) == 1 {
				v.State = "changed"
				if err := s.PutVideo(v); err != nil {
					t.Fatal(err)
				}
			}
			if v.Seq > videos {
				break
			}
		}
		if err := s.update(func(t txn) error { return putMadeUpVideo(s, t, videos) }); err != nil {
			t.Fatal(err)
		}
	})
	seen := map[string]int{}
	for _, name := range names {
		if seen[name]++; seen[name] > 1 {
			t.Errorf("%s was listed twice", name)
		}
	}
	if len(seen) != videos+1 {
		t.Errorf("%d videos listed, want %d and the new one", len(seen), videos)
	}
}

func TestListJobsAndFiles(t *testing.T) {
	dir := t.TempDir()
	fillVideos(t, dir, 3)
	s, err := Open(dir, Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var all []Listed
	for l, err := range s.List("transcribe/") {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
	second := all[1].CID
	for _, id := range []string{"transcribe/" + second.String(), "fetch/" + all[2].CID.String()} {
		if err := s.PutJob(Job{ID: id, Kind: "k", Video: second, State: "done", Created: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.ForgetFile(all[0].Files[0].Path); err != nil {
		t.Fatal(err)
	}
	i := 0
	for l, err := range s.List("transcribe/") {
		if err != nil {
			t.Fatal(err)
		}
		if hasJob := l.Job != nil; hasJob != (i == 1) || hasJob && l.Job.State != "done" {
			t.Errorf("video %d has job %+v", i, l.Job)
		}
		if hasFile := len(l.Files) == 1; hasFile != (i > 0) {
			t.Errorf("video %d has files %+v", i, l.Files)
		}
		if i++; i == 3 {
			break
		}
	}
}

func TestNumbersDiffer(t *testing.T) {
	var n numbers
	seen := map[fileID]bool{}
	next := 0
	last := n.take()
	for range 3 * numberRun {
		id := n.take()
		if seen[id] {
			t.Fatalf("%d was given out twice", id)
		}
		if seen[id] = true; id == last+1 {
			next++
		}
		last = id
	}
	if next < 3*numberRun-4 {
		t.Errorf("%d of %d follow the one before", next, 3*numberRun)
	}
}
