package daemon

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/transcribe"
)

// The states in which a video of the catalogue can be.
const (
	videoWhole   = "whole"
	videoPartial = "partial" // being fetched, or a fetch of it was interrupted
	videoChanged = "changed" // its file is no longer what was added
	videoMissing = "missing" // its file is gone
	videoDamaged = "damaged" // some bytes of its file are wrong, though it looks as it did
	videoLive    = "live"    // being recorded: what is settled of it
	videoEnded   = "ended"   // its file was gone before the recording was finished
)

// resolve turns a reference into a video's CID: a ticket, a CID, or the name
// of a video here that only one bears. The video need not be here.
func (n *Node) resolve(ref string) (cid.Cid, error) {
	if isTicket(ref) {
		inv, err := parseTicket(ref)
		if err != nil {
			return cid.Undef, api.Errorf(api.CodeUsage, "%w", err)
		}
		return inv.Video, nil
	}
	c, cidErr := manifest.ParseVideoCID(ref)
	if cidErr == nil {
		return c, nil
	}
	found, err := n.bearing(ref)
	if err != nil {
		return cid.Undef, err
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return cid.Undef, api.Errorf(api.CodeNotFound, "%q is neither a video's CID, nor a ticket, nor the name of a video here; see: vidsync ls", ref)
	}
	return cid.Undef, api.Errorf(api.CodeUsage, "%d videos here are named %q; use the CID (see: vidsync ls)", len(found), ref)
}

// bearing lists the videos of the catalogue, and those on their way, that have
// a name.
func (n *Node) bearing(name string) ([]cid.Cid, error) {
	var found []cid.Cid
	for v, err := range n.store.Videos() {
		if err != nil {
			return nil, err
		}
		if v.Name == name {
			found = append(found, v.CID)
		}
	}
	for job, err := range n.store.Jobs() {
		if err != nil {
			return nil, err
		}
		if job.Kind == kindFetch && n.jobName(job) == name && !slices.Contains(found, job.Video) {
			found = append(found, job.Video)
		}
	}
	return found, nil
}

// localVideo is the catalogue's entry that ref names.
func (n *Node) localVideo(ref string) (blockstore.Video, error) {
	c, err := n.resolve(ref)
	if err != nil {
		return blockstore.Video{}, err
	}
	v, err := n.store.Video(c)
	if errors.Is(err, fs.ErrNotExist) {
		return v, api.Errorf(api.CodeNotFound, "video %s is not here; bring it with: vidsync fetch", c)
	}
	return v, err
}

// fileState is the best file of a video and the state that it is in. A damaged
// one is better than none.
func (n *Node) fileState(video cid.Cid) (path, state string, err error) {
	files, err := n.store.Files(video)
	if err != nil {
		return "", "", err
	}
	if v := n.recordings.version(video); v != nil && len(files) == 0 {
		path, _ = v.of.where()
		return path, videoLive, nil
	}
	if len(files) == 0 && n.isRemoved(video) {
		return "", videoRemoved, nil
	}
	path, state = n.best(files)
	return path, state, nil
}

// best is the best of a video's files and the state that it is in.
func (n *Node) best(files []blockstore.File) (path, state string) {
	state = videoMissing
	for _, f := range files {
		now := n.stateAt(f)
		if path == "" || isBetter(now, state) {
			path, state = f.Path, now
		}
		if state == videoWhole {
			break
		}
	}
	return path, state
}

// fileStates are the states that a file can be in, the worst first.
var fileStates = []string{videoMissing, videoChanged, videoDamaged, videoWhole}

func isBetter(state, other string) bool {
	return slices.Index(fileStates, state) > slices.Index(fileStates, other)
}

// stateAt is the state that a file on record is in now.
func (n *Node) stateAt(f blockstore.File) string {
	info, err := os.Stat(f.Path)
	switch {
	case err != nil:
		return videoMissing
	case blockstore.StampOf(info) != f.Stamp:
		return videoChanged
	case n.damage.of(f.Path, f.Stamp) != nil:
		return videoDamaged
	}
	return videoWhole
}

// filePath is a file that holds the video whole.
func (n *Node) filePath(video cid.Cid) (string, error) {
	path, state, err := n.fileState(video)
	switch {
	case err != nil:
		return "", err
	case state == videoChanged:
		return "", api.Errorf(api.CodeNotFound, "%s was changed since it was added as %s; add it again, or restore it", path, video)
	case state == videoLive:
		return "", api.Errorf(api.CodeUnavailable, "%s is still being recorded; try again once it is finished", path)
	case state == videoRemoved:
		return "", api.Errorf(api.CodeNotFound, "the file of video %s %s; bring it back with: vidsync fetch %s", video, n.whyRemoved(video), video)
	case state == videoMissing:
		return "", api.Errorf(api.CodeNotFound, "no file of video %s is here any more (it was %s)", video, path)
	}
	return path, nil
}

// copyAt is the video's file at path if that one is whole, else any other.
func (n *Node) copyAt(video cid.Cid, path string) (string, error) {
	if f, err := n.store.FileAt(path); err == nil && f.Video == video {
		return path, nil
	}
	return n.filePath(video)
}

func (n *Node) isWhole(_ context.Context, video cid.Cid) bool {
	_, state, err := n.fileState(video)
	return err == nil && (state == videoWhole || state == videoDamaged)
}

// damageOf is what is known to be wrong in a file.
func (n *Node) damageOf(path string) []api.Damage {
	info, err := os.Stat(path)
	if err != nil {
		return nil // gone just now
	}
	return listedDamage(path, n.damage.of(path, blockstore.StampOf(info)))
}

func damagedBytes(damage []api.Damage) int64 {
	var bytes int64
	for _, d := range damage {
		bytes += d.Length
	}
	return bytes
}

// arrives tells whether a job brings, or has brought part of, a video that the
// catalogue has not got.
func (n *Node) arrives(job blockstore.Job) (bool, error) {
	if job.Kind != kindFetch || job.State == stateDone {
		return false, nil
	}
	here, err := n.inCatalogue(job.Video)
	if here || err != nil {
		return false, err
	}
	if job.State != stateFailed {
		return true, nil
	}
	return found(n.store.Receipt(job.Video))
}

// inCatalogue tells whether the catalogue has a video.
func (n *Node) inCatalogue(video cid.Cid) (bool, error) { return found(n.store.Video(video)) }

// found makes an answer of a look-up's error.
func found[T any](_ T, err error) (bool, error) {
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// arriving lists a video that a fetch is bringing here.
func (n *Node) arriving(ctx context.Context, job blockstore.Job) api.Video {
	out := api.Video{CID: job.Video.String(), Name: n.jobName(job), State: videoPartial, Added: job.Created}
	m, err := n.lib.manifest(ctx, job.Video)
	if err != nil {
		return out // nobody told its size yet
	}
	out.Size = m.Size()
	if have, err := n.have(m); err == nil {
		out.Have = have.Bytes()
	}
	return out
}

// have is what can be read of a video here now: from the catalogue's files, a
// running fetch, or what an interrupted one left.
func (n *Node) have(m *manifest.Manifest) (*manifest.Holdings, error) {
	have, _, err := n.lib.Holdings(m.CID())
	if err != nil {
		return nil, err
	}
	receipt, err := n.store.Receipt(m.CID())
	if errors.Is(err, fs.ErrNotExist) {
		return have, nil
	}
	if err != nil {
		return nil, err
	}
	have = have.Clone()
	for block, mask := range receipt.Masks {
		if block < have.NumBlocks() {
			have.Add(block, mask)
		}
	}
	return have, nil
}

// Info describes one video.
func (n *Node) Info(ctx context.Context, ref string) (api.Info, error) {
	video, err := n.resolve(ref)
	if err != nil {
		return api.Info{}, err
	}
	m, err := n.lib.manifest(ctx, video)
	if errors.Is(err, fs.ErrNotExist) {
		return api.Info{}, api.Errorf(api.CodeNotFound, "video %s is not here; bring it with: vidsync fetch", video)
	}
	if err != nil {
		return api.Info{}, err
	}
	have, err := n.have(m)
	if err != nil {
		return api.Info{}, err
	}
	info := api.Info{
		CID: video.String(), Size: m.Size(), BlockSize: manifest.BlockSize,
		State: videoPartial, Files: []string{}, Transcripts: []string{}, Blocks: make([]api.Block, m.NumBlocks()),
	}
	for i := range info.Blocks {
		b := m.Block(i)
		info.Blocks[i] = api.Block{CID: b.CID().String(), Size: b.Len, Have: have.Full(i)}
	}
	return info, n.describe(&info, video)
}

// describe adds what the catalogue knows of a video.
func (n *Node) describe(info *api.Info, video cid.Cid) error {
	v, err := n.store.Video(video)
	if errors.Is(err, fs.ErrNotExist) {
		if job, err := n.store.Job(jobID(kindFetch, video)); err == nil {
			info.Name = n.jobName(job)
		}
		return nil
	}
	if err != nil {
		return err
	}
	info.Name, info.MediaType, info.Added = v.Name, v.MediaType, v.Added
	if info.Path, info.State, err = n.fileState(video); err != nil {
		return err
	}
	if info.State == videoDamaged {
		info.Damage = n.damageOf(info.Path)
	}
	if info.State == videoRemoved {
		if info.Removed, err = n.removalOf(video); err != nil {
			return err
		}
	}
	files, err := n.store.Files(video)
	for _, f := range files {
		info.Files = append(info.Files, f.Path)
	}
	if info.Path != "" {
		info.Transcripts = append(info.Transcripts, transcribe.Sidecars(info.Path)...)
	}
	return err
}

// GC drops what no video needs any more.
func (n *Node) GC(ctx context.Context) (api.Freed, error) {
	gone, err := n.store.GC(ctx)
	return api.Freed{IndexItems: gone.Items, Bytes: gone.Bytes, Files: []string{}, Kept: []string{}}, err
}
