package watch_test

import (
	"errors"
	"path"
	"testing"

	"github.com/vidsync/vidsync/watch"
)

func TestWanted(t *testing.T) {
	usual := watch.DefaultGlob()
	for _, tt := range []struct {
		glob []string
		name string
		want bool
	}{
		{usual, "a.mp4", true},
		{usual, "A.MP4", true},
		{usual, "clip.MtS", true},
		{usual, "talk.wav", true},
		{usual, "a b\nc.mkv", true},
		{usual, "\xff.mov", true},
		{usual, "a.mp4.part", false},
		{usual, "a.mp4.PART", false},
		{usual, "a.mp4.crdownload", false},
		{usual, "a.mp4.Download", false},
		{usual, "a.mp4.partial", false},
		{usual, "a.mp4.tmp", false},
		{usual, "a.mp4~", false},
		{usual, ".a.mp4", false},
		{usual, ".mp4", false},
		{usual, "mp4", false},
		{usual, "a.txt", false},
		{usual, "a.mp4.txt", false},
		{usual, "", false},
		{[]string{"*"}, "notes.txt", true},
		{[]string{"*"}, "notes.tmp", false},
		{[]string{"*"}, ".hidden", false},
		{[]string{"CAM[0-9]_*.MP4"}, "cam1_0001.mp4", true},
		{[]string{"CAM[0-9]_*.MP4"}, "camx_0001.mp4", false},
		{[]string{"*.m?v", "*.wav"}, "a.mov", true},
		{[]string{"*.m?v", "*.wav"}, "a.WAV", true},
		{[]string{"*.m?v", "*.wav"}, "a.mp4", false},
	} {
		if got := watch.Wanted(tt.glob, tt.name); got != tt.want {
			t.Errorf("Wanted(%.40q, %q) = %v, want %v", tt.glob, tt.name, got, tt.want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	if _, err := watch.New(watch.Config{Dir: "here"}, newLedger()); err == nil {
		t.Error("a relative path was taken")
	}
	_, err := watch.New(watch.Config{Dir: "/x", Glob: []string{"*.mp4", "[a"}}, newLedger())
	if !errors.Is(err, path.ErrBadPattern) {
		t.Errorf("a malformed pattern gave %v", err)
	}
}
