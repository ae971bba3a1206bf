package watch_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/vidsync/vidsync/watch"
)

func TestFolderGoesAndComesBack(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		card, away := filepath.Join(dir, "card"), filepath.Join(dir, "away")
		s := begin(t, watch.Config{Dir: card}, newLedger(), passOnly)
		time.Sleep(10 * time.Minute)
		equalLines(t, s.lines(), "unavailable .") // not there at the start
		mkdir(t, card)
		write(t, filepath.Join(card, "a.mp4"), 1)
		write(t, filepath.Join(card, "b.mp4"), 2)
		time.Sleep(10 * time.Minute)
		equalLines(t, s.lines(), "available .", "finished a.mp4 1", "finished b.mp4 2")
		rename(t, card, away)
		time.Sleep(10 * time.Minute)
		equalLines(t, s.lines(), "unavailable .")
		remove(t, filepath.Join(away, "b.mp4"))
		write(t, filepath.Join(away, "c.mp4"), 3)
		rename(t, away, card)
		time.Sleep(10 * time.Minute)
		equalLines(t, s.lines(), "available .", "finished c.mp4 3")
		remove(t, card)
		write(t, card, 1) // a file in its place
		time.Sleep(10 * time.Minute)
		equalLines(t, s.lines(), "unavailable .")
	})
}

// A card that is out for less than the pause between two looks whether it is
// there takes no files with it that are not finished yet.
func TestFolderBlinks(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		card, away := filepath.Join(dir, "card"), filepath.Join(dir, "away")
		mkdir(t, card)
		write(t, filepath.Join(card, "a.mp4"), 1)
		s := begin(t, watch.Config{Dir: card, Settle: 3 * time.Second}, newLedger(), passOnly)
		time.Sleep(2 * time.Second)
		rename(t, card, away)
		time.Sleep(2 * time.Second) // a.mp4 was to be finished now
		rename(t, away, card)
		time.Sleep(20 * time.Second)
		equalLines(t, s.lines(), "unavailable .", "available .", "finished a.mp4 1")
	})
}

// What happens to the folder while handle is busy is told in order and once.
func TestFolderComesAndGoesWhileHandleIsBusy(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		card, away := filepath.Join(dir, "card"), filepath.Join(dir, "away")
		mkdir(t, card)
		write(t, filepath.Join(card, "a.mp4"), 1)
		s := begin(t, watch.Config{Dir: card}, newLedger(), passOnly, func(s *session, _ *watch.Folder) {
			s.handle = func(context.Context, watch.Event) error {
				time.Sleep(time.Hour)
				return nil
			}
		})
		time.Sleep(time.Minute)
		for range 5 {
			rename(t, card, away)
			time.Sleep(time.Minute)
			rename(t, away, card)
			time.Sleep(time.Minute)
		}
		time.Sleep(10 * time.Hour)
		equalLines(t, s.lines(), "finished a.mp4 1", "unavailable .", "available .")
		rename(t, card, away)
		time.Sleep(time.Minute) // Unavailable is being told
		rename(t, away, card)
		time.Sleep(90 * time.Minute) // now Available
		rename(t, card, away)
		time.Sleep(10 * time.Hour)
		equalLines(t, s.lines(), "unavailable .", "available .", "unavailable .")
	})
}

// Available and Unavailable are told again until they are taken.
func TestFolderEventsAreRetried(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		calls := 0
		s := begin(t, watch.Config{Dir: filepath.Join(dir, "card")}, newLedger(), passOnly, func(s *session, _ *watch.Folder) {
			s.handle = func(context.Context, watch.Event) error {
				if calls++; calls < 4 {
					return errFull
				}
				return nil
			}
		})
		time.Sleep(time.Hour)
		equalLines(t, s.lines(), "unavailable .", "unavailable .", "unavailable .", "unavailable .")
		if n := s.log.count(errFull.Error()); n != 1 {
			t.Errorf("the error was logged %d times", n)
		}
	})
}

// The folder may be named by a symlink; when that names an empty folder of
// another file system, the card is out.
func TestAnotherFileSystem(t *testing.T) {
	other, err := os.MkdirTemp("/dev/shm", "vidsync-watch-")
	if err != nil {
		t.Skipf("no second file system: %v", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(other) })
	bubble(t, func(t *testing.T, dir string) {
		card, link := filepath.Join(dir, "card"), filepath.Join(dir, "link")
		mkdir(t, card)
		write(t, filepath.Join(card, "a.mp4"), 1)
		point := func(at string) {
			if err := os.Symlink(at, link+".new"); err != nil {
				t.Fatal(err)
			}
			rename(t, link+".new", link)
		}
		point(other)
		s := begin(t, watch.Config{Dir: link}, newLedger(), passOnly)
		time.Sleep(time.Minute)
		point(card) // nothing was there before: nothing to say
		time.Sleep(time.Minute)
		equalLines(t, s.lines(), "finished a.mp4 1")
		point(other)
		time.Sleep(10 * time.Minute)
		equalLines(t, s.lines(), "unavailable .")
		point(card)
		time.Sleep(10 * time.Minute)
		equalLines(t, s.lines(), "available .")
		write(t, filepath.Join(other, "b.mp4"), 2) // another card
		point(other)
		time.Sleep(10 * time.Minute)
		equalLines(t, s.lines(), "unavailable .", "available .", "finished b.mp4 2")
	})
}

func TestUnreadableFolderKeepsItsFiles(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("everything can be read by root")
	}
	bubble(t, func(t *testing.T, dir string) {
		sub := filepath.Join(dir, "sub")
		mkdir(t, sub)
		write(t, filepath.Join(sub, "a.mp4"), 1)
		s := begin(t, watch.Config{Dir: dir}, newLedger(), passOnly)
		time.Sleep(time.Minute)
		equalLines(t, s.lines(), "finished sub/a.mp4 1")
		if err := os.Chmod(sub, 0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		equalLines(t, s.lines())
		if n := s.log.count("folder cannot be read"); n != 1 {
			t.Errorf("it was said %d times", n)
		}
		if err := os.Chmod(sub, 0o755); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		equalLines(t, s.lines())
	})
}
