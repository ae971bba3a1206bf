package daemon

import (
	"strings"
	"testing"

	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/watch"
)

// A card that is put in again has another device number; another card has a file
// with that inode, too.
func TestRecordingAdopts(t *testing.T) {
	begun := watch.Identity{Device: 1, Inode: 12}
	for name, c := range map[string]struct {
		id   watch.Identity
		want bool
	}{
		"the file, longer":            {watch.Identity{Device: 1, Inode: 12, Size: 2 * manifest.BlockSize}, true},
		"the file, cut":               {watch.Identity{Device: 1, Inode: 12, Size: 1}, true},
		"on another device":           {watch.Identity{Device: 2, Inode: 12, Size: manifest.BlockSize}, true},
		"shorter on another device":   {watch.Identity{Device: 2, Inode: 12, Size: manifest.BlockSize - 1}, false},
		"another file on that device": {watch.Identity{Device: 1, Inode: 13, Size: 2 * manifest.BlockSize}, false},
	} {
		r := &recording{inode: begun, blocks: []recordedBlock{{len: manifest.BlockSize}}}
		if got := r.adopt(c.id); got != c.want || got != (r.inode == c.id) {
			t.Errorf("%s: %v, identity %+v", name, got, r.inode)
		}
	}
}

func TestWithRecording(t *testing.T) {
	text := ""
	for _, id := range []string{"a", "", "b", "a"} {
		text = withRecording(text, id)
	}
	if text != "a b" {
		t.Errorf("%q", text)
	}
	for range 20 {
		id := newRecordingID()
		text = withRecording(text, id)
		if ids := recordingIDs(text); len(text) > blockstore.MaxRecording || ids[len(ids)-1] != id || len(ids) < 2 {
			t.Errorf("%q after %s", text, id)
		}
	}
	if long := strings.Repeat("x", blockstore.MaxRecording); withRecording(long, "a") != "a" {
		t.Error("what has no room stays")
	}
}

func TestMatchesGlobs(t *testing.T) {
	for _, c := range []struct {
		globs []string
		name  string
		want  bool
	}{
		{nil, "a.ts", true}, {[]string{"*.TS"}, "a.ts", true}, {[]string{"*.mkv", "b*"}, "a.ts", false}, {[]string{"*.mkv", "b*"}, "B.ts", true},
	} {
		if got := matchesGlobs(c.globs, c.name); got != c.want {
			t.Errorf("%v, %s: %v", c.globs, c.name, got)
		}
	}
}
