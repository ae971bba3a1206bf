package watch_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/vidsync/vidsync/watch"
)

// A second Run tells nothing of what is known, and all of what is not.
func TestRestart(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		mkdir(t, filepath.Join(dir, "sub/deep"))
		for _, name := range []string{"a.mp4", "b.mp4", "sub/c.mp4", "sub/deep/d.mp4"} {
			write(t, filepath.Join(dir, name), 10)
		}
		l := newLedger()
		s := begin(t, watch.Config{Dir: dir}, l, passOnly)
		time.Sleep(time.Minute)
		s.stop()
		if n := len(s.lines()); n != 4 {
			t.Fatalf("%d events, want 4", n)
		}
		rename(t, filepath.Join(dir, "a.mp4"), filepath.Join(dir, "sub/a.mp4"))
		grow(t, filepath.Join(dir, "b.mp4"), 1)
		write(t, filepath.Join(dir, "new.mp4"), 3)
		remove(t, filepath.Join(dir, "sub/deep"))
		s = begin(t, watch.Config{Dir: dir}, l, passOnly)
		time.Sleep(time.Hour)
		equalLines(t, s.lines(), "moved sub/a.mp4 10 from a.mp4", "finished b.mp4 11", "finished new.mp4 3")
	})
}

// A known file costs one question.
func TestKnownIsAskedOnce(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		write(t, filepath.Join(dir, "a.mp4"), 10)
		l := newLedger()
		s := begin(t, watch.Config{Dir: dir}, l, passOnly)
		time.Sleep(time.Hour)
		s.stop()
		l.asked = 0
		s = begin(t, watch.Config{Dir: dir}, l, passOnly)
		time.Sleep(time.Hour)
		s.stop()
		if l.asked != 1 {
			t.Errorf("asked %d times, want once", l.asked)
		}
	})
}

func TestMovedAndGone(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, at func(string) string)
		want []string
	}{
		{"rename", func(t *testing.T, at func(string) string) {
			rename(t, at("a.mp4"), at("z.mp4"))
		}, []string{"moved z.mp4 1 from a.mp4"}},
		{"rename twice", func(t *testing.T, at func(string) string) {
			rename(t, at("a.mp4"), at("a.mp4.tmp"))
			rename(t, at("a.mp4.tmp"), at("sub/z.mp4"))
		}, []string{"moved sub/z.mp4 1 from a.mp4"}},
		{"rename over another", func(t *testing.T, at func(string) string) {
			rename(t, at("a.mp4"), at("b.mp4"))
		}, []string{"moved b.mp4 1 from a.mp4"}},
		{"rename folder", func(t *testing.T, at func(string) string) {
			rename(t, at("sub"), at("other"))
		}, []string{"moved other/c.mp4 3 from sub/c.mp4"}},
		{"rename folder into hidden one", func(t *testing.T, at func(string) string) {
			mkdir(t, at(".trash"))
			rename(t, at("sub"), at(".trash/sub"))
		}, []string{"gone sub/c.mp4"}},
		{"rename to a name that does not count", func(t *testing.T, at func(string) string) {
			rename(t, at("a.mp4"), at("a.mp4.part"))
		}, []string{"gone a.mp4"}},
		{"remove", func(t *testing.T, at func(string) string) {
			remove(t, at("b.mp4"))
		}, []string{"gone b.mp4"}},
		{"remove folder", func(t *testing.T, at func(string) string) {
			remove(t, at("sub"))
		}, []string{"gone sub/c.mp4"}},
		{"replaced by a folder", func(t *testing.T, at func(string) string) {
			remove(t, at("a.mp4"))
			mkdir(t, at("a.mp4"))
			write(t, at("a.mp4/x.mp4"), 7)
		}, []string{"finished a.mp4/x.mp4 7", "gone a.mp4"}},
		{"replaced by a link", func(t *testing.T, at func(string) string) {
			remove(t, at("a.mp4"))
			if err := os.Symlink(at("b.mp4"), at("a.mp4")); err != nil {
				t.Fatal(err)
			}
		}, []string{"gone a.mp4"}},
		{"emptied", func(t *testing.T, at func(string) string) {
			write(t, at("a.mp4"), 0)
		}, []string{"gone a.mp4"}},
		{"away and back", func(t *testing.T, at func(string) string) {
			rename(t, at("a.mp4"), at("../a.mp4"))
			rename(t, at("../a.mp4"), at("a.mp4"))
		}, []string{"finished a.mp4 1"}}, // its change time is new; the ledger cares
		{"a second link", func(t *testing.T, at func(string) string) {
			if err := os.Link(at("a.mp4"), at("z.mp4")); err != nil {
				t.Fatal(err)
			}
		}, []string{"finished a.mp4 1", "finished z.mp4 1"}},
		{"rotation", func(t *testing.T, at func(string) string) {
			rename(t, at("b.mp4"), at("x.mp4"))
			rename(t, at("a.mp4"), at("b.mp4"))
			write(t, at("a.mp4"), 9)
		}, []string{"finished a.mp4 9", "moved b.mp4 1 from a.mp4", "moved x.mp4 2 from b.mp4"}},
	} {
		files := func(t *testing.T, dir string) func(string) string {
			at := func(name string) string { return filepath.Join(dir, name) }
			mkdir(t, at("sub"))
			write(t, at("a.mp4"), 1)
			write(t, at("b.mp4"), 2)
			write(t, at("sub/c.mp4"), 3)
			if err := os.Chtimes(at("b.mp4"), time.Time{}, time.Now().Add(-time.Hour)); err != nil {
				t.Fatal(err)
			}
			return at
		}
		begun := []string{"finished a.mp4 1", "finished b.mp4 2", "finished sub/c.mp4 3"}
		t.Run(tt.name+", looking again", func(t *testing.T) {
			bubble(t, func(t *testing.T, dir string) {
				dir = filepath.Join(dir, "d")
				at := files(t, dir)
				s := begin(t, watch.Config{Dir: dir}, newLedger(), passOnly)
				time.Sleep(30 * time.Second)
				s.want(begun...)
				tt.do(t, at)
				time.Sleep(5 * time.Minute)
				s.want(tt.want...)
			})
		})
		t.Run(tt.name+", notices", func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "d")
			at := files(t, dir)
			s := begin(t, watch.Config{Dir: dir, Settle: 200 * time.Millisecond, Rescan: 2 * time.Second}, newLedger())
			s.want(begun...)
			tt.do(t, at)
			s.want(tt.want...)
			s.wantNothing(500 * time.Millisecond)
		})
	}
}

// What went to another watched folder is Moved there, before or after it is
// Gone here; nothing is Finished again.
func TestMovedToAnotherFolder(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
		mkdir(t, one)
		mkdir(t, two)
		write(t, filepath.Join(one, "a.mp4"), 10)
		l := newLedger()
		s1 := begin(t, watch.Config{Dir: one}, l, passOnly)
		s2 := begin(t, watch.Config{Dir: two}, l, passOnly)
		time.Sleep(30 * time.Second)
		equalLines(t, s1.lines(), "finished a.mp4 10")
		rename(t, filepath.Join(one, "a.mp4"), filepath.Join(two, "a.mp4"))
		time.Sleep(5 * time.Minute)
		equalLines(t, s1.lines(), "gone a.mp4")
		equalLines(t, s2.lines(), "moved a.mp4 10 from "+filepath.Join(one, "a.mp4"))
		if len(l.snapshot()) != 1 {
			t.Errorf("on record: %v", l.snapshot())
		}
	})
}
