package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/ipfs/go-cid"

	"github.com/vidsync/vidsync/assemble"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/protocol"
)

const (
	// A path with more is cut to the file's name: it must fit the systems'
	// limits below any folder.
	maxFollowDepth = 32   // elements
	maxFollowPath  = 2048 // bytes

	// maxFolderNumber is how many names are tried for a folder whose own is taken.
	maxFolderNumber = 100
)

// followedEntry is what a fetch remembers of the catalogue entry that led to it.
type followedEntry struct {
	Peer    string `json:"peer"`          // whose catalogue
	Dir     string `json:"dir"`           // folder of the follow
	RelPath string `json:"rel,omitempty"` // below Dir, made safe
	Order   int64  `json:"order"`         // the lowest of those that wait goes first
}

// followOf is what a job goes behind the fetches of people for; nil if it does not.
func followOf(job blockstore.Job) *followedEntry {
	if job.Kind != kindFetch {
		return nil
	}
	var spec fetchSpec
	if err := json.Unmarshal(job.Spec, &spec); err != nil {
		return nil // refused when it runs
	}
	return spec.Follow
}

// specOf is the fetch that an entry of a followed catalogue asks for.
func (r followRecord) specOf(peer string, e protocol.Entry, noTranscribe bool) fetchSpec {
	rel := safeRelPath(e.RelPath)
	if rel == "" {
		rel = safeName(e.Name, e.Video)
	}
	order := int64(0)
	if !e.Added.IsZero() {
		order = e.Added.UnixNano()
	}
	if r.NewestFirst {
		order = -order
	}
	return fetchSpec{
		Name: path.Base(rel), Peers: []string{peer}, NoTranscribe: noTranscribe, Detached: true,
		Follow: &followedEntry{Peer: peer, Dir: r.Dir, RelPath: rel, Order: order},
	}
}

// safeRelPath makes a path of one that a peer chose: every element is a harmless
// name, and none leads up. A path that is too long or too deep keeps its last
// element only; empty if that is of no use.
func safeRelPath(rel string) string {
	elements := strings.Split(rel, "/")
	last := len(elements) - 1
	for i, e := range elements {
		elements[i] = shorten(cleanName(e))
		if elements[i] == "" && i < last {
			elements[i] = "_"
		}
	}
	if elements[last] == "" {
		return ""
	}
	if safe := strings.Join(elements, "/"); len(elements) <= maxFollowDepth && len(safe) <= maxFollowPath {
		return safe
	}
	return elements[last]
}

// target is where the video goes. Nothing on the way leads out of the folder.
func (e *followedEntry) target(name string, video cid.Cid) (assemble.Target, error) {
	rel := safeRelPath(e.RelPath) // the index could have been written by somebody else
	if rel == "" {
		rel = safeName(name, video)
	}
	elements := strings.Split(rel, "/")
	last := len(elements) - 1
	dir, err := folderInside(e.Dir, elements[:last])
	return assemble.Target{Dir: dir, Name: elements[last]}, err
}

// folderInside is the folder below dir that elements lead to, which need not be
// there yet. Where the name of one is taken by a file, or by a link out of dir,
// the next number is used.
func folderInside(dir string, elements []string) (string, error) {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return filepath.Join(dir, filepath.Join(elements...)), nil
	}
	if err != nil {
		return "", err
	}
	defer root.Close()
	at := "."
	for _, e := range elements {
		if at, err = vacantFolder(root, at, e); err != nil {
			return "", fmt.Errorf("folder %s in %s: %w", filepath.Join(elements...), dir, err)
		}
	}
	return filepath.Join(dir, at), nil
}

// vacantFolder is a folder in at, or a name that nothing has.
func vacantFolder(root *os.Root, at, name string) (string, error) {
	for n := 1; n <= maxFolderNumber; n++ {
		candidate := filepath.Join(at, name)
		if n > 1 {
			candidate = filepath.Join(at, fmt.Sprintf("%s (%d)", name, n))
		}
		if info, err := root.Stat(candidate); err == nil && info.IsDir() {
			return candidate, nil
		}
		if _, err := root.Lstat(candidate); errors.Is(err, fs.ErrNotExist) {
			return candidate, nil
		}
	}
	return "", &fs.PathError{Op: "mkdir", Path: filepath.Join(at, name), Err: fs.ErrExist}
}

// retried makes every failure of a fetch one that is followed by another attempt.
func retried(err error) error {
	if _, ok := errors.AsType[*waitError](err); ok || err == nil {
		return err
	}
	return &waitError{err: err}
}
