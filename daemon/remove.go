package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/ipfs/go-cid"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/transcribe"
)

// Remove forgets a video, and deletes its files if told to.
func (n *Node) Remove(ctx context.Context, req api.RemoveRequest) (api.Freed, error) {
	video, err := n.resolve(req.Ref)
	if err != nil {
		return api.Freed{}, err
	}
	freed := api.Freed{CID: video.String(), Files: []string{}, Kept: []string{}}
	if v := n.recordings.version(video); v != nil {
		path, _ := v.of.where()
		return freed, api.Errorf(api.CodeUnavailable, "%s is being recorded; remove it once it is finished", path)
	}
	known, err := n.known(video)
	if err != nil {
		return freed, err
	}
	if !known {
		return freed, api.Errorf(api.CodeNotFound, "video %s is not here", video)
	}
	for _, kind := range []string{kindFetch, kindTranscribe} {
		if err := n.jobs.giveUp(ctx, jobID(kind, video)); err != nil {
			return freed, err
		}
	}
	if v, err := n.store.Video(video); err == nil {
		freed.Name = v.Name
	}
	if err := n.removeFiles(video, req.Files, &freed); err != nil {
		return freed, err
	}
	if err := n.forgetOwnReceipt(video); err != nil {
		return freed, err
	}
	if err := n.markForgotten(video); err != nil {
		return freed, err
	}
	gone, err := n.store.RemoveVideo(video)
	n.lib.forget(video)
	freed.IndexItems = gone.Items
	freed.Bytes += gone.Bytes
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // there was only a job
	}
	n.removals.settled()
	return freed, err
}

// known tells whether anything here belongs to a video.
func (n *Node) known(video cid.Cid) (bool, error) {
	if known, err := n.inCatalogue(video); known || err != nil {
		return known, err
	}
	if known, err := found(n.store.Receipt(video)); known || err != nil {
		return known, err
	}
	return found(n.store.Job(jobID(kindFetch, video)))
}

// removeFiles deletes the unfinished file of a fetch, and with all also the
// finished files and their transcripts. Without it they are listed as kept, and
// so is what was put in the place of a file since.
func (n *Node) removeFiles(video cid.Cid, all bool, freed *api.Freed) error {
	files, err := n.store.Files(video)
	if err != nil {
		return err
	}
	var doomed []string
	for _, f := range files {
		if err := n.damage.heal(f.Path); err != nil {
			return err
		}
		info, err := os.Lstat(f.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case all && blockstore.StampOf(info) == f.Stamp:
			doomed = append(append(doomed, f.Path), transcribe.Sidecars(f.Path)...)
		default:
			freed.Kept = append(freed.Kept, f.Path)
		}
	}
	if r, err := n.store.Receipt(video); err == nil && isPart(r) {
		doomed = append(doomed, r.Part)
	}
	for _, path := range doomed {
		if err := deleteFile(path, freed); err != nil {
			return err
		}
	}
	return nil
}

// isPart tells whether the file at a receipt's path is still its part file.
func isPart(r blockstore.Receipt) bool {
	info, err := os.Lstat(r.Part)
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	s := blockstore.StampOf(info)
	return s.Inode == r.Inode && s.Device == r.Device
}

func deleteFile(path string, freed *api.Freed) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil {
		return fmt.Errorf("the video is still known: %w", err)
	}
	freed.Files = append(freed.Files, path)
	freed.Bytes += info.Size()
	return nil
}
