package daemon

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/blockstore"
)

// maxNamed bounds the providers that the requests for one fetch may name.
const maxNamed = 64

// fetchSpec is what a stored fetch job remembers of its request.
type fetchSpec struct {
	Name         string   `json:"name,omitempty"` // suggested by the ticket
	Ticket       string   `json:"ticket,omitempty"`
	Output       string   `json:"output,omitempty"`
	Peers        []string `json:"peers,omitempty"`
	NoTranscribe bool     `json:"no_transcribe,omitempty"`
	Detached     bool     `json:"detached,omitempty"` // nobody waits: keep trying
	Reading      bool     `json:"reading,omitempty"`  // only as long as somebody reads
	// Follow is set if the catalogue of a followed peer led to the fetch.
	Follow *followedEntry `json:"follow,omitempty"`
	// Recording is set if the video was fetched while it was being recorded: what
	// came is in a part file that bears this mark.
	Recording string `json:"recording,omitempty"`
	// Recordings are all that have become the video, that one among them.
	Recordings []string `json:"recordings,omitempty"`
}

// blend is what several requests for one video, oldest first, ask for together.
// The first one that says where the video goes decides, and the newest ticket
// is the one to show.
func blend(specs [][]byte) (fetchSpec, error) {
	all := fetchSpec{NoTranscribe: true, Reading: true}
	for _, data := range specs {
		var s fetchSpec
		if err := json.Unmarshal(data, &s); err != nil {
			return all, fmt.Errorf("request of a fetch: %w", err)
		}
		all.Name, all.Output = cmp.Or(all.Name, s.Name), cmp.Or(all.Output, s.Output)
		all.Ticket = cmp.Or(s.Ticket, all.Ticket)
		all.Follow, all.Recording = cmp.Or(all.Follow, s.Follow), cmp.Or(all.Recording, s.Recording)
		for _, addr := range s.Peers {
			if !slices.Contains(all.Peers, addr) && len(all.Peers) < maxNamed {
				all.Peers = append(all.Peers, addr)
			}
		}
		all.NoTranscribe = all.NoTranscribe && s.NoTranscribe
		all.Detached = all.Detached || s.Detached
		all.Reading = all.Reading && s.Reading
	}
	return all, nil
}

// Fetch brings a video here, and unless told otherwise waits for its
// transcript.
func (n *Node) Fetch(ctx context.Context, req api.FetchRequest, emit func(api.Progress)) (api.FetchResult, error) {
	if req.Timeout < 0 {
		return api.FetchResult{}, api.Errorf(api.CodeUsage, "--timeout %v is negative", req.Timeout)
	}
	if req.Output != "" && !filepath.IsAbs(req.Output) {
		return api.FetchResult{}, api.Errorf(api.CodeUsage, "output %q is not an absolute path", req.Output)
	}
	job, err := n.fetchJob(ctx, req, false)
	if err != nil {
		return api.FetchResult{}, err
	}
	if req.Detach {
		return n.fetchLater(job, req)
	}
	if req.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, req.Timeout)
		defer cancel()
	}
	result, err := n.fetchNow(ctx, job, req, emit)
	if err != nil {
		return api.FetchResult{}, err
	}
	result.Transcript = &api.Transcript{State: transcriptOff, Files: []string{}}
	if !req.NoTranscribe && !n.cfg.NoTranscribe {
		result.Transcript = n.transcriptOfFetch(ctx, job.Video, emit)
	}
	return result, nil
}

// fetchLater leaves the work to the queue.
func (n *Node) fetchLater(job blockstore.Job, req api.FetchRequest) (api.FetchResult, error) {
	t, joined, err := n.jobs.submit(job)
	if err != nil {
		return api.FetchResult{}, err
	}
	first, err := blend(t.requests()[:1])
	if err == nil && joined && req.Output != "" && req.Output != first.Output {
		err = api.Errorf(api.CodeUnavailable, "video %s is being fetched to another place; give the command again once it is here", job.Video)
	}
	return api.FetchResult{CID: job.Video.String(), Peers: []api.PeerShare{}}, err
}

// fetchNow waits for a fetch. One that it joined may bring the video to another
// place: then a second one makes a copy.
func (n *Node) fetchNow(ctx context.Context, job blockstore.Job, req api.FetchRequest, emit func(api.Progress)) (api.FetchResult, error) {
	for {
		t, joined, err := n.jobs.submit(job)
		if err != nil {
			return api.FetchResult{}, err
		}
		if t, err = n.awaitFetch(ctx, t, emit); err != nil {
			return api.FetchResult{}, n.fetchError(ctx, t, err, req.Timeout)
		}
		result := t.result.(api.FetchResult)
		if !joined || isAt(result.Path, req.Output) {
			return result, nil
		}
	}
}

// isAt tells whether a file is where a request wanted it.
func isAt(path, output string) bool {
	return output == "" || path == output || filepath.Dir(path) == output
}

// awaitFetch waits for an attempt at a fetch, and for further ones while it
// only lets others go first. It returns the last.
func (n *Node) awaitFetch(ctx context.Context, t *task, emit func(api.Progress)) (*task, error) {
	for {
		err := t.wait(ctx, emit)
		if wait, ok := errors.AsType[*waitError](err); !ok || !wait.yields {
			return t, err
		}
		next := n.jobs.task(t.job.ID)
		if next == nil {
			return t, err
		}
		t = next
	}
}

// fetchJob checks a request and makes a job of it, which reading tells to be for
// as long as somebody reads.
func (n *Node) fetchJob(ctx context.Context, req api.FetchRequest, reading bool) (blockstore.Job, error) {
	spec := fetchSpec{
		Output: req.Output, Peers: req.Peers, Detached: req.Detach, Reading: reading,
		NoTranscribe: req.NoTranscribe || n.cfg.NoTranscribe,
	}
	video, err := n.resolve(req.Ref)
	if api.CodeOf(err) == api.CodeNotFound { // it can't be asked of anybody
		err = api.Errorf(api.CodeUsage, "%w", err)
	}
	if err != nil {
		return blockstore.Job{}, err
	}
	if isTicket(req.Ref) {
		inv, err := parseTicket(req.Ref)
		if err != nil {
			return blockstore.Job{}, api.Errorf(api.CodeUsage, "%w", err)
		}
		spec.Ticket, spec.Name = req.Ref, inv.Name
		if err := n.honoured(inv.capability); err != nil {
			return blockstore.Job{}, api.Errorf(api.CodeRefused, "%w on this node; make a new one with: vidsync ticket %s", err, video)
		}
		if err := inv.check(video, time.Now()); err != nil && !n.isWhole(ctx, video) {
			return blockstore.Job{}, api.Errorf(api.CodeRefused, "%w (on %s); ask its owner for a new one", err, inv.Expires.Format(time.RFC1123))
		}
	}
	if len(req.Peers) > maxNamed {
		return blockstore.Job{}, api.Errorf(api.CodeUsage, "%d peers are named, at most %d are asked", len(req.Peers), maxNamed)
	}
	for _, addr := range req.Peers {
		if _, err := parsePeer(addr); err != nil {
			return blockstore.Job{}, err
		}
	}
	data, err := json.Marshal(spec)
	if err != nil {
		return blockstore.Job{}, err
	}
	return blockstore.Job{ID: jobID(kindFetch, video), Kind: kindFetch, Video: video, Spec: data}, nil
}

// fetchError is what the waiting user is told of a fetch that did not end well.
func (n *Node) fetchError(ctx context.Context, t *task, err error, timeout time.Duration) error {
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		why := t.obstacles()
		if err := n.abandon(ctx, t); err != nil {
			return err
		}
		return api.Errorf(api.CodeUnavailable, "video %s did not arrive within %v%s; what came is kept, and the same command goes on from there", t.job.Video, timeout, why)
	}
	if errors.Is(err, errGivenUp) {
		return api.Errorf(api.CodeOther, "fetch of %s was given up by another command", t.job.Video)
	}
	return err
}

// abandon gives up a fetch whose user no longer waits, unless somebody else
// wants it.
func (n *Node) abandon(ctx context.Context, t *task) error {
	spec, err := blend(t.requests())
	if err == nil && (spec.Detached || t.awaited()) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dialTimeout)
	defer cancel()
	return n.jobs.giveUp(ctx, t.job.ID)
}

// transcriptOfFetch waits for the transcription that a fetch led to. A video
// that was fetched for somebody who wanted none gets its job now. Whatever
// becomes of it, the fetch is a success.
func (n *Node) transcriptOfFetch(ctx context.Context, video cid.Cid, emit func(api.Progress)) *api.Transcript {
	_, err := n.store.Job(jobID(kindTranscribe, video))
	if errors.Is(err, fs.ErrNotExist) {
		var job blockstore.Job
		if job, err = transcriptionJob(video, transcriptionSpec{}); err == nil {
			_, _, err = n.jobs.submit(job)
		}
	}
	if err != nil {
		return &api.Transcript{State: stateFailed, Message: err.Error(), Files: []string{}}
	}
	return n.awaitTranscript(ctx, video, emit)
}
