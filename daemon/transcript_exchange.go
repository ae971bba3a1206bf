package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/protocol"
	"github.com/vidsync/vidsync/transcribe"
)

// stateWanted is the kind of state that is a transcript which a peer has and this
// node wants. Its key is the CID, so there is one a video; its value is the peer.
const stateWanted = "transcript"

const (
	wantedCheck       = 10 * time.Second // whether a peer with transcripts has connected
	transcriptTimeout = 5 * time.Minute  // of fetching one
)

// transcriptFormats are the sidecars that are served.
var transcriptFormats = []string{"json", "srt", "vtt", "txt"}

// Transcript returns the sidecars of a video that is here. It implements
// protocol.Transcripts.
func (n *Node) Transcript(ctx context.Context, video cid.Cid) ([]protocol.Sidecar, error) {
	path, err := n.transcribedFile(video)
	if err != nil {
		return nil, err
	}
	var sidecars []protocol.Sidecar
	for _, format := range transcriptFormats {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		sidecar, err := transcribe.Find(path, "", format)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		data, err := readSidecar(sidecar)
		if err != nil {
			return nil, err
		}
		sidecars = append(sidecars, protocol.Sidecar{Format: format, Data: data})
	}
	if len(sidecars) == 0 {
		return nil, fmt.Errorf("transcript of %s: %w", video, fs.ErrNotExist)
	}
	return sidecars, nil
}

// readSidecar reads a file of at most protocol.MaxSidecarBytes.
func readSidecar(path string) ([]byte, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, protocol.MaxSidecarBytes+1))
	if err == nil && len(data) > protocol.MaxSidecarBytes {
		err = fmt.Errorf("%s has more than %d bytes: %w", path, protocol.MaxSidecarBytes, fs.ErrNotExist)
	}
	return data, err
}

// transcribedFile is the file of a video that its transcript stands beside, else
// any that holds the video; fs.ErrNotExist if none does.
func (n *Node) transcribedFile(video cid.Cid) (string, error) {
	files, err := n.store.Files(video)
	if err != nil {
		return "", err
	}
	best := ""
	for _, f := range files {
		info, err := os.Stat(f.Path)
		if err != nil || blockstore.StampOf(info) != f.Stamp {
			continue
		}
		if _, err := transcribe.Find(f.Path, "", "json"); err == nil {
			return f.Path, nil
		}
		best = f.Path
	}
	if best == "" {
		return "", fmt.Errorf("file of video %s: %w", video, fs.ErrNotExist)
	}
	return best, nil
}

// hasTranscript tells whether a transcript of a video stands here.
func (n *Node) hasTranscript(video cid.Cid) bool {
	path, err := n.transcribedFile(video)
	if err != nil {
		return false
	}
	_, err = transcribe.Find(path, "", "json")
	return err == nil
}

// announceTranscript has the peers that are followed hear of the transcript of a
// video that is here by a follow.
func (n *Node) announceTranscript(video cid.Cid) error {
	_, err := n.storedReceipt(video, n.self)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	to, err := n.followedPeers()
	if err != nil {
		return err
	}
	var changes []blockstore.Change
	for id := range to {
		changes = append(changes, storeNotice(id, noticeTranscript, video))
	}
	defer notify(n.outbox.due)
	return n.store.Apply(changes...)
}

// fetchTranscripts gets the transcripts that peers have told of, one after
// another, until ctx ends.
func (n *Node) fetchTranscripts(ctx context.Context, net *network) error {
	tick := time.NewTicker(wantedCheck)
	defer tick.Stop()
	for {
		failed := map[string]bool{} // peers, in this pass: each holds up the others once at most
		for s, err := range n.store.States(stateWanted, "") {
			if err != nil {
				return err
			}
			if failed[string(s.Value)] {
				continue
			}
			err := n.fetchTranscript(ctx, net, s)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				failed[string(s.Value)] = true
				n.log.Info("transcript is not here yet", "video", s.Key, "peer", string(s.Value), "reason", err)
			}
		}
		select {
		case <-n.wanted:
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// fetchTranscript gets one transcript, once its peer is connected. One that
// cannot be had, or is not wanted any more, is forgotten.
func (n *Node) fetchTranscript(ctx context.Context, net *network, s blockstore.StateRecord) error {
	from, err := peer.Decode(string(s.Value))
	if err != nil {
		return n.store.DropState(stateWanted, s.Key)
	}
	video, err := cid.Decode(s.Key)
	if err != nil {
		return n.store.DropState(stateWanted, s.Key)
	}
	if !net.connected(from) || n.jobs.task(jobID(kindTranscribe, video)) != nil {
		return nil // later
	}
	path, err := n.transcribedFile(video)
	if errors.Is(err, fs.ErrNotExist) || !n.trust.has(from) || n.hasTranscript(video) {
		return n.store.DropState(stateWanted, s.Key)
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, transcriptTimeout)
	defer cancel()
	sidecars, err := protocol.FetchTranscript(ctx, net.host, from, video, nil, net.client())
	if err == nil {
		err = n.adopt(video, path, sidecars)
	}
	if err == nil || hopelessTranscript(err) {
		return errors.Join(err, n.store.DropState(stateWanted, s.Key))
	}
	return err
}

// hopelessTranscript tells an error that another attempt will meet again.
func hopelessTranscript(err error) bool {
	full := errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
	broken := errors.Is(err, protocol.ErrProtocol) || errors.Is(err, fs.ErrNotExist)
	return broken || errors.Is(err, errAdopt) && !full
}

var errAdopt = errors.New("transcript cannot be stored")

// adopt stores a transcript of a peer beside the video, where one that was made
// here would be, and notes that there is nothing more to do.
func (n *Node) adopt(video cid.Cid, path string, sidecars []protocol.Sidecar) error {
	for _, s := range sidecars {
		if s.Format != "json" {
			continue // made of that one
		}
		res, err := transcribe.Adopt(path, video.String(), s.Data)
		if err != nil {
			return fmt.Errorf("%w: %w", errAdopt, err)
		}
		found := api.Transcript{
			State: string(res.State), Message: res.Message, Files: res.Files,
			Language: res.Language, Engine: res.Engine, Quality: res.Quality,
		}
		job, err := transcriptionJob(video, transcriptionSpec{Path: path, Result: &found})
		if err != nil {
			return err
		}
		job.State = stateDone
		n.log.Info("transcript came from a peer", "video", video, "path", path)
		return n.hooks.record(n.transcriptEvent(video, found), blockstore.StoreJob(job))
	}
	return fmt.Errorf("%w: it has no JSON file", errAdopt)
}
