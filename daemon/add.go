package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/assemble"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/transcribe"
)

// maxAddFiles bounds what one add walks through.
const maxAddFiles = 1_000_000

// Add hashes files in place, or copies of them, and puts them into the
// catalogue.
func (n *Node) Add(ctx context.Context, req api.AddRequest, emit func(api.Progress)) (api.AddResult, error) {
	result := api.AddResult{Added: []api.Added{}}
	for _, path := range req.Paths {
		if !filepath.IsAbs(path) {
			return result, api.Errorf(api.CodeUsage, "%q is not an absolute path", path)
		}
	}
	files, failed := listInputs(ctx, req.Paths)
	result.Failed = failed
	if err := ctx.Err(); err != nil {
		return result, err
	}
	if req.Name != "" && len(files) > 1 {
		return result, api.Errorf(api.CodeUsage, "--name is for one file, these are %d", len(files))
	}
	if req.Copy {
		_, _ = assemble.Sweep(n.cfg.Paths.Videos) // what cannot be removed is no hindrance
	}
	a := newAddition(n, req, files)
	stop := a.report(emit)
	defer stop()
	if err := a.run(ctx); err != nil {
		return result, err
	}
	for i, o := range a.outcomes {
		if o.err != nil {
			result.Failed = append(result.Failed, failure(files[i].path, o.err))
			continue
		}
		result.Added = append(result.Added, o.added)
	}
	return result, nil
}

// input is one file to add.
type input struct {
	path     string
	relative string // below the folder that was named, or the file's own name
	size     int64
}

// listInputs finds the files to add. What cannot be read is reported, not
// fatal. Files that vidsync itself made (unfinished fetches, transcripts) and
// hidden files are passed over inside folders.
func listInputs(ctx context.Context, paths []string) ([]input, []api.Failure) {
	var files []input
	var failed []api.Failure
	for _, root := range paths {
		info, err := os.Stat(root)
		switch {
		case err != nil:
			failed = append(failed, failure(root, err))
		case info.Mode().IsRegular():
			files = append(files, input{path: root, relative: filepath.Base(root), size: info.Size()})
		case info.IsDir():
			if root, err = filepath.EvalSymlinks(root); err != nil { // a walk does not follow its root
				failed = append(failed, failure(root, err))
				continue
			}
			f, bad := walkFolder(ctx, root)
			files, failed = append(files, f...), append(failed, bad...)
		default:
			failed = append(failed, failure(root, api.Errorf(api.CodeUsage, "is neither a file nor a folder")))
		}
	}
	return files, failed
}

func walkFolder(ctx context.Context, root string) (files []input, failed []api.Failure) {
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			failed = append(failed, failure(path, err))
			if d != nil && d.IsDir() {
				return fs.SkipDir
			}
		case path != root && strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
		case len(files) >= maxAddFiles:
			return fmt.Errorf("more than %d files in one folder; add its parts one by one", maxAddFiles)
		case d.Type().IsRegular() && !strings.HasSuffix(d.Name(), ".part"):
			info, err := d.Info()
			if err != nil {
				failed = append(failed, failure(path, err))
				return nil
			}
			relative, _ := filepath.Rel(root, path) // path begins with root
			files = append(files, input{path: path, relative: filepath.ToSlash(relative), size: info.Size()})
		}
		return nil
	})
	if err != nil {
		failed = append(failed, failure(root, err))
	}
	ours := transcripts(files)
	return slices.DeleteFunc(files, func(f input) bool { return ours[f.path] }), failed
}

// transcripts finds the files that are transcripts of others. It looks for
// those of a video only where a JSON file has a name that begins like its own,
// which may be cut if it is long: every look reads the folder.
func transcripts(files []input) map[string]bool {
	begun := map[string]bool{} // paths of JSON files, cut at every dot
	for _, f := range files {
		for path := f.path; filepath.Ext(f.path) == ".json" && filepath.Ext(path) != ""; {
			path = strings.TrimSuffix(path, filepath.Ext(path))
			begun[path] = true
		}
	}
	ours := map[string]bool{}
	for _, f := range files {
		stem := strings.TrimSuffix(f.path, filepath.Ext(f.path))
		if !begun[stem] && len(filepath.Base(stem)) <= maxFileName {
			continue
		}
		for _, s := range transcribe.Sidecars(f.path) {
			ours[s] = true
		}
	}
	return ours
}

func failure(path string, err error) api.Failure {
	code := api.CodeOf(err)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		code = api.CodeNotFound
	case errors.Is(err, fs.ErrPermission):
		code = api.CodeOther
	case errors.Is(err, assemble.ErrNoSpace), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		code = api.CodeNoSpace
	case errors.Is(err, blockstore.ErrChanged):
		code = api.CodeUnavailable
	}
	text := err.Error()
	if pe, ok := errors.AsType[*fs.PathError](err); ok && pe.Path == path {
		text = pe.Err.Error() // the path stands beside it
	}
	return api.Failure{Path: path, Code: code, Error: text}
}

// adder adds one file.
type adder struct {
	node *Node
	req  api.AddRequest
	// recording is the identity of the file while it grew, or "".
	recording string
	current   atomic.Int64  // bytes of the file that are done
	done      *atomic.Int64 // bytes of all files; nil if nobody asks
}

func (a *adder) add(ctx context.Context, f input) (api.Added, error) {
	name := a.req.Name
	if name == "" {
		name = filepath.Base(f.path)
	}
	path := f.path
	var v blockstore.Video
	var err error
	if a.req.Copy {
		path, v, err = a.copyIn(ctx, f, name)
	} else {
		v, err = a.index(ctx, path, f.relative, name, blockstore.Added)
	}
	if err != nil {
		return api.Added{}, err
	}
	return api.Added{CID: v.CID.String(), Name: v.Name, Path: path, Size: v.Size}, nil
}

// copyIn puts a copy of a file into the videos folder and into the blockstore.
func (a *adder) copyIn(ctx context.Context, f input, name string) (path string, v blockstore.Video, err error) {
	n := a.node
	path, v, err = assemble.CopyIn(ctx, n.store, f.path, n.cfg.Paths.Videos, assemble.CopyConfig{
		Progress: a.progress,
		Entry: func(m *manifest.Manifest) blockstore.Video {
			v := blockstore.Video{Name: name, RelPath: f.relative, MediaType: mediaType(name)}
			return n.entry(m, v, time.Now().UTC())
		},
	})
	if err == nil && n.hooks.wants(hookAdded) {
		n.logged("store the event that a video was added", n.tellAdded(path))
	}
	return path, v, err
}

// index hashes a file and commits it to the blockstore. A file that is known
// and unchanged is not read again.
func (a *adder) index(ctx context.Context, path, relative, name string, origin blockstore.Origin) (blockstore.Video, error) {
	file, err := openRegular(path)
	if err != nil {
		return blockstore.Video{}, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return blockstore.Video{}, err
	}
	stamp := blockstore.StampOf(info)
	store := a.node.store
	if known, err := store.FileAt(path); err == nil && known.Stamp == stamp {
		if v, err := store.Video(known.Video); err == nil && (a.req.Name == "" || a.req.Name == v.Name) {
			a.progress(info.Size())
			return v, nil
		}
	}
	return a.node.tellingAdded(path, func() (blockstore.Video, error) {
		return a.node.hash(ctx, file, blockstore.File{Path: path, Stamp: stamp, Origin: origin},
			blockstore.Video{Name: name, RelPath: relative, MediaType: mediaType(name), Recording: a.recording}, a.progress)
	})
}

// hash reads a file, whose record has the stamp from before, and commits it
// under the video that its bytes make. If v has a CID, they must make that one.
func (n *Node) hash(ctx context.Context, file *os.File, f blockstore.File, v blockstore.Video, progress func(int64)) (blockstore.Video, error) {
	imp := n.store.Import()
	m, err := manifest.Split(ctx, file, f.Stamp.Size, manifest.SplitConfig{Progress: progress, Hole: holes(file), Block: imp.Block})
	if err == nil {
		err = unchanged(file, f.Path, f.Stamp)
	}
	if err == nil && v.CID.Defined() && v.CID != m.CID() {
		err = fmt.Errorf("%s is not video %s: %w", f.Path, v.CID, manifest.ErrCorrupt)
	}
	if err != nil {
		imp.Discard()
		return blockstore.Video{}, err
	}
	f.When = time.Now().UTC()
	v = n.entry(m, v, f.When)
	return v, imp.Commit(m, f, v)
}

// entry fills in what follows from a video's bytes, and what the catalogue says
// of it already. now is the time.
func (n *Node) entry(m *manifest.Manifest, v blockstore.Video, now time.Time) blockstore.Video {
	v.CID, v.Size, v.Blocks, v.State, v.Added = m.CID(), m.Size(), m.NumBlocks(), videoWhole, now
	if old, err := n.store.Video(v.CID); err == nil {
		v.Added, v.Signer, v.Recording = old.Added, old.Signer, withRecording(old.Recording, v.Recording)
	}
	return v
}

func (a *adder) progress(n int64) {
	a.current.Add(n)
	if a.done != nil {
		a.done.Add(n)
	}
}

// unchanged makes sure that the file is still what was there when hashing
// began, and still the one that the path names.
func unchanged(file *os.File, path string, before blockstore.Stamp) error {
	now, err := file.Stat()
	if err != nil {
		return err
	}
	named, err := os.Stat(path)
	if err != nil {
		return err
	}
	if blockstore.StampOf(now) != before || blockstore.StampOf(named) != before {
		return api.Errorf(api.CodeUnavailable, "changed while it was being hashed; add it again once nothing writes to it")
	}
	return nil
}
