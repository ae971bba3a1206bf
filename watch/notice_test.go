package watch_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/vidsync/vidsync/watch"
)

// When notices were lost everything is looked at.
func TestLostNotices(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		var n watch.FakeNotices
		n.Limit = 10
		s := begin(t, watch.Config{Dir: dir, Rescan: 24 * time.Hour}, newLedger(), func(_ *session, f *watch.Folder) { f.Hear(&n) })
		time.Sleep(time.Hour)
		write(t, filepath.Join(dir, "a.mp4"), 1)
		time.Sleep(time.Hour)
		equalLines(t, s.lines()) // nobody said a word
		n.Overflow()
		time.Sleep(11 * time.Second)
		equalLines(t, s.lines(), "finished a.mp4 1")
	})
}

// What is kept of notices is bounded; one more means that some were lost.
func TestNotesAreBounded(t *testing.T) {
	for _, tt := range []struct {
		names, times, kept int
		lost               bool
	}{
		{0, 1, 0, false},
		{watch.MaxNotes, 5, watch.MaxNotes, false},
		{watch.MaxNotes + 1, 1, 0, true},
		{3 * watch.MaxNotes, 1, watch.MaxNotes - 2, true},
	} {
		if kept, lost := watch.Note(tt.names, tt.times); kept != tt.kept || lost != tt.lost {
			t.Errorf("of %d names %d are kept, lost %v; want %d, %v", tt.names, kept, lost, tt.kept, tt.lost)
		}
	}
}

// Beyond the system's limit folders are looked at again and again, and it is
// said once.
func TestWatchLimit(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		for i := range 30 {
			mkdir(t, filepath.Join(dir, fmt.Sprint(i)))
		}
		n := watch.FakeNotices{Limit: 5}
		s := begin(t, watch.Config{Dir: dir}, newLedger(), func(_ *session, f *watch.Folder) { f.Hear(&n) })
		time.Sleep(10*time.Minute + time.Second)
		if got := s.log.count("fs.inotify.max_user_watches"); got != 1 {
			t.Errorf("the limit was spoken of %d times", got)
		}
		if asked := n.Asked(); asked > 11*6 { // the five, and one more at every look
			t.Errorf("asked for %d watches", asked)
		}
		for i := range 30 {
			write(t, filepath.Join(dir, fmt.Sprint(i), "a.mp4"), 1)
		}
		time.Sleep(2 * time.Minute)
		if got := len(s.lines()); got != 30 {
			t.Errorf("%d events, want 30", got)
		}
	})
}
