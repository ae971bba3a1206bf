package daemon

import (
	"context"

	"github.com/ipfs/go-cid"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/blockstore"
)

// listing puts the answer to Videos together. Files and jobs are read in the
// order in which they lie in the index, which is many times as fast as asking
// for those of each video.
type listing struct {
	node   *Node
	videos []api.Video
	at     map[cid.Cid]int // in videos
}

// Videos lists the catalogue, and the videos that are on their way.
func (n *Node) Videos(ctx context.Context) ([]api.Video, error) {
	if err := n.damage.refresh(); err != nil {
		return nil, err
	}
	l := &listing{node: n, videos: []api.Video{}, at: make(map[cid.Cid]int)}
	for _, read := range []func(context.Context) error{l.readEntries, l.readFiles, l.readJobs} {
		if err := read(ctx); err != nil {
			return nil, err
		}
	}
	return l.videos, nil
}

func (l *listing) readEntries(ctx context.Context) error {
	for v, err := range l.node.store.Videos() {
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if _, twice := l.at[v.CID]; twice { // it changed meanwhile
			continue
		}
		out, err := l.entry(v)
		if err != nil {
			return err
		}
		l.at[v.CID] = len(l.videos)
		l.videos = append(l.videos, out)
	}
	return nil
}

// entry lists a video of the catalogue as if it had no file.
func (l *listing) entry(v blockstore.Video) (out api.Video, err error) {
	out = api.Video{
		CID: v.CID.String(), Name: v.Name, Size: v.Size, MediaType: v.MediaType, Added: v.Added, State: videoMissing,
	}
	if r := l.node.recordings.version(v.CID); r != nil {
		out.Path, _ = r.of.where()
		out.State, out.Have = videoLive, v.Size
	} else if v.State == videoRemoved {
		out.State = videoRemoved
		out.Removed, err = l.node.removalOf(v.CID)
	}
	return out, err
}

func (l *listing) readFiles(ctx context.Context) error {
	for f, err := range l.node.store.AllFiles() {
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if i, ok := l.at[f.Video]; ok {
			l.addFile(&l.videos[i], f)
		}
	}
	return nil
}

// addFile has the entry name the file if it is the best so far.
func (l *listing) addFile(v *api.Video, f blockstore.File) {
	if v.State == videoWhole {
		return
	}
	state := l.node.stateAt(f)
	if v.Path != "" && !isBetter(state, v.State) {
		return
	}
	v.Path, v.State, v.Have, v.Damage, v.Removed = f.Path, state, 0, nil, nil
	switch state {
	case videoWhole:
		v.Have = v.Size
	case videoDamaged:
		v.Damage = l.node.damageOf(f.Path)
		v.Have = v.Size - damagedBytes(v.Damage)
	}
}

// readJobs adds what transcriptions came to, and what is on its way.
func (l *listing) readJobs(ctx context.Context) error {
	for job, err := range l.node.store.Jobs() {
		if err != nil {
			return err
		}
		if i, ok := l.at[job.Video]; ok {
			if job.Kind == kindTranscribe && job.ID == jobID(kindTranscribe, job.Video) {
				l.videos[i].Transcript = transcriptOf(job).State
			}
			continue
		}
		if v, ok := l.node.listedLive(job); ok {
			l.videos = append(l.videos, v)
		} else if arrives, err := l.node.arrives(job); err != nil {
			return err
		} else if arrives {
			l.videos = append(l.videos, l.node.arriving(ctx, job))
		}
	}
	return nil
}
