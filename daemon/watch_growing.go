package daemon

import (
	"cmp"
	"context"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/watch"
)

// growing offers a file that is being recorded. One whose name cannot be told to
// others waits until it is finished, which says so.
func (f *watchedFolder) growing(e watch.Event) error {
	if !utf8.ValidString(e.Path) {
		return nil
	}
	return f.node.recordings.begin(e.Path, filepath.ToSlash(e.RelPath), e.Identity)
}

// settleRecording offers what was still missing of a recording that is finished,
// so that followers have it while the whole is checked, and returns its identity;
// empty if the file was no recording.
func (f *watchedFolder) settleRecording(ctx context.Context, e watch.Event) (id string, err error) {
	l := f.node.recordings
	if e.From != "" {
		if _, err := l.rename(e.From, e.Path, filepath.ToSlash(e.RelPath)); err != nil {
			return "", err
		}
	}
	if err := l.findMoved(e.Path, filepath.ToSlash(e.RelPath), e.Identity); err != nil {
		return "", err
	}
	rec, err := l.record(e.Path)
	if known, err := found(rec, err); err != nil || !known {
		return "", err
	}
	r := l.stop(e.Path)
	if r != nil && !r.adopt(e.Identity) { // another file has taken its place
		return "", l.lost(e.Path)
	}
	if r == nil || rec.Next == "" {
		return rec.ID, nil
	}
	if err := r.complete(ctx); err != nil {
		return "", err
	}
	return rec.ID, l.publish(r)
}

// listedIn are the recordings in a folder for the user.
func (l *recordings) listedIn(dir string) []api.Recording {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []api.Recording
	for path, r := range l.active {
		if isBelow(path, dir) {
			out = append(out, r.listed())
		}
	}
	slices.SortFunc(out, func(a, b api.Recording) int { return cmp.Compare(a.Path, b.Path) })
	return out
}

func (r *recording) listed() api.Recording {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := api.Recording{ID: r.id, Path: r.path}
	if v := r.newest(); v != nil {
		out.CID, out.Size = v.video.String(), v.size
	}
	if r.trouble != nil {
		out.Message = strings.TrimSpace(r.trouble.Error())
	}
	return out
}

// isPresent tells whether a file that is not there is gone for good, as far as
// can be known: its folder is there and was looked through, and no event waits by
// which it may have another name. watched tells whether
// anybody will hear of the file's end.
func (n *Node) isPresent(path string) (present, watched bool) {
	folders, _ := n.watching.all()
	for dir, f := range folders {
		if isBelow(path, dir) {
			return f.present() && f.busy.Load() == 0, matchesGlobs(f.stored().Glob, filepath.Base(path))
		}
	}
	return false, false
}

// matchesGlobs tells whether a watched folder's patterns want a name, as package
// watch has it.
func matchesGlobs(globs []string, name string) bool {
	return len(globs) == 0 || slices.ContainsFunc(globs, func(glob string) bool {
		ok, err := filepath.Match(strings.ToLower(glob), strings.ToLower(name))
		return ok && err == nil
	})
}
