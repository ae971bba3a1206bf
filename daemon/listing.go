package daemon

import (
	"context"
	"iter"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/blockstore"
)

// Videos yields the catalogue as it is read, and then the videos that are on
// their way.
func (n *Node) Videos(ctx context.Context) iter.Seq2[api.Video, error] {
	return func(yield func(api.Video, error) bool) {
		err := n.damage.refresh()
		goOn := err == nil
		for _, list := range []func(context.Context, func(api.Video) bool) (bool, error){n.listCatalogue, n.listArriving} {
			if goOn {
				goOn, err = list(ctx, func(v api.Video) bool { return yield(v, nil) })
			}
		}
		if err != nil {
			yield(api.Video{}, err)
		}
	}
}

// listCatalogue calls yield for each video of the catalogue, until it returns
// false; goOn tells whether it never did.
func (n *Node) listCatalogue(ctx context.Context, yield func(api.Video) bool) (goOn bool, err error) {
	for l, err := range n.store.List(kindTranscribe + "/") {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return false, err
		}
		v, err := n.listed(l)
		if err != nil {
			return false, err
		}
		if !yield(v) {
			return false, nil
		}
	}
	return true, nil
}

// listed is a video of the catalogue for the user.
func (n *Node) listed(l blockstore.Listed) (api.Video, error) {
	out, err := n.listedEntry(l.Video)
	if err != nil {
		return out, err
	}
	if len(l.Files) > 0 {
		n.listFile(&out, l.Files)
	}
	if l.Job != nil && l.Job.Kind == kindTranscribe {
		out.Transcript = transcriptOf(*l.Job).State
	}
	return out, nil
}

// listedEntry is a video of the catalogue as if it had no file.
func (n *Node) listedEntry(v blockstore.Video) (out api.Video, err error) {
	out = api.Video{
		CID: v.CID.String(), Name: v.Name, Size: v.Size, MediaType: v.MediaType, Added: v.Added, State: videoMissing,
	}
	if r := n.recordings.version(v.CID); r != nil {
		out.Path, _ = r.of.where()
		out.State, out.Have = videoLive, v.Size
	} else if v.State == videoRemoved {
		out.State = videoRemoved
		out.Removed, err = n.removalOf(v.CID)
	}
	return out, err
}

// listFile names the best of a video's files.
func (n *Node) listFile(v *api.Video, files []blockstore.File) {
	v.Path, v.State = n.best(files)
	v.Have, v.Removed = 0, nil
	switch v.State {
	case videoWhole:
		v.Have = v.Size
	case videoDamaged:
		v.Damage = n.damageOf(v.Path)
		v.Have = v.Size - damagedBytes(v.Damage)
	}
}

// listArriving is listCatalogue for the videos that are on their way.
func (n *Node) listArriving(ctx context.Context, yield func(api.Video) bool) (goOn bool, err error) {
	for job, err := range n.store.Jobs() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return false, err
		}
		v, ok := n.listedLive(job)
		if !ok {
			if ok, err = n.arrives(job); err != nil {
				return false, err
			}
			if ok {
				v = n.arriving(ctx, job)
			}
		}
		if ok && !yield(v) {
			return false, nil
		}
	}
	return true, nil
}
