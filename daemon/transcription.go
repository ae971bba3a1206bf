package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/transcribe"
)

// engineRetry is how often a job whose engine is missing looks for it.
const engineRetry = 5 * time.Minute

// transcriptOff is the state of a transcript that nobody asked for.
const transcriptOff = "off"

// maxTranscriptions is how often a transcription that fails is tried.
const maxTranscriptions = 5

// transcriptionSpec is what a stored transcription job remembers, and, once it
// has run, what became of it.
type transcriptionSpec struct {
	Engine   string          `json:"engine,omitempty"`
	Language string          `json:"language,omitempty"`
	Path     string          `json:"path,omitempty"` // the copy to write beside; empty: any
	Result   *api.Transcript `json:"result,omitempty"`
}

func transcriptionJob(video cid.Cid, spec transcriptionSpec) (blockstore.Job, error) {
	data, err := json.Marshal(spec)
	if err != nil {
		return blockstore.Job{}, err
	}
	now := time.Now().UTC()
	return blockstore.Job{
		ID: jobID(kindTranscribe, video), Kind: kindTranscribe, Video: video,
		State: stateQueued, Spec: data, Created: now, Updated: now,
	}, nil
}

// runTranscription is the work of one transcription job, as the newest request
// wants it. A job that ends with a finding about the video (no audio, say) is
// done: trying again would find the same.
func (n *Node) runTranscription(ctx context.Context, t *task) error {
	var spec transcriptionSpec
	requests := t.requests()
	if err := json.Unmarshal(requests[len(requests)-1], &spec); err != nil {
		return fmt.Errorf("job %s: %w", t.job.ID, err)
	}
	path, err := n.copyAt(t.job.Video, spec.Path)
	if err != nil {
		return err
	}
	res, err := n.transcribeFile(ctx, t, path, t.job.Video.String(), spec)
	if err != nil {
		return err
	}
	spec.Result = &res
	if t.job.Spec, err = json.Marshal(spec); err != nil {
		return err
	}
	t.result = res
	switch transcribe.State(res.State) {
	case transcribe.EngineMissing:
		t.job.Attempts-- // this was none
		return &waitError{err: errors.New(res.Message), pause: engineRetry}
	case transcribe.Failed:
		if t.job.Attempts < maxTranscriptions {
			return &waitError{err: errors.New(res.Message)}
		}
		return errors.New(res.Message)
	case transcribe.Done:
		return retried(n.announceTranscript(t.job.Video))
	}
	return nil
}

func (n *Node) transcribeFile(ctx context.Context, t *task, path, key string, spec transcriptionSpec) (api.Transcript, error) {
	var latest atomic.Pointer[transcribe.Progress]
	latest.Store(&transcribe.Progress{Phase: "probing"})
	started := time.Now()
	t.setReport(func() api.Progress { return transcriptionProgress(*latest.Load(), path, started) })
	res, err := n.transcriber.Run(ctx, transcribe.Request{
		Video: path, Key: key, WorkDir: n.cfg.Paths.Work, Engine: spec.Engine, Language: spec.Language,
	}, func(p transcribe.Progress) { latest.Store(&p) })
	if err != nil {
		return api.Transcript{}, fmt.Errorf("transcribe %s: %w", path, err)
	}
	files := res.Files
	if files == nil {
		files = []string{}
	}
	return api.Transcript{
		State: string(res.State), Message: res.Message, Files: files,
		Language: res.Language, Engine: res.Engine, Quality: res.Quality,
	}, nil
}

func transcriptionProgress(p transcribe.Progress, path string, started time.Time) api.Progress {
	out := api.Progress{
		Phase: "transcribing", Name: filepath.Base(path), Message: p.Phase,
		Done: p.Done.Milliseconds(), Size: p.Total.Milliseconds(), ETASeconds: -1, Peers: []api.PeerShare{},
	}
	if spent := time.Since(started).Seconds(); p.Done > 0 && p.Total > 0 {
		out.ETASeconds = spent * float64(p.Total-p.Done) / float64(p.Done)
	}
	return out
}

// awaitTranscript waits for the transcription that is queued for a video, if
// one is, and says how it went. One that pauses after an attempt, because its
// engine is missing say, is not waited for: what that attempt found is told.
func (n *Node) awaitTranscript(ctx context.Context, video cid.Cid, emit func(api.Progress)) *api.Transcript {
	if t := n.jobs.task(jobID(kindTranscribe, video)); t != nil && !n.jobs.pauses(t) {
		err := t.wait(ctx, emit)
		if res, ok := t.transcript(); ok {
			return &res
		}
		if err != nil {
			return &api.Transcript{State: stateQueued, Message: err.Error(), Files: []string{}}
		}
	}
	return n.transcriptState(video)
}

// transcript is what a transcription that has ended found out.
func (t *task) transcript() (api.Transcript, bool) {
	if !t.ended() {
		return api.Transcript{}, false
	}
	res, ok := t.result.(api.Transcript)
	return res, ok
}

// transcriptState is what the index knows of a video's transcription, or nil.
func (n *Node) transcriptState(video cid.Cid) *api.Transcript {
	job, err := n.store.Job(jobID(kindTranscribe, video))
	if err != nil {
		return nil
	}
	return transcriptOf(job)
}

// transcriptOf is what a transcription's job says of the transcript.
func transcriptOf(job blockstore.Job) *api.Transcript {
	var spec transcriptionSpec
	if err := json.Unmarshal(job.Spec, &spec); err == nil && spec.Result != nil {
		return spec.Result
	}
	return &api.Transcript{State: job.State, Message: job.Message, Files: []string{}}
}

// Transcribe makes the transcript of a video that is here, or of any media
// file, and waits for it.
func (n *Node) Transcribe(ctx context.Context, req api.TranscribeRequest, emit func(api.Progress)) (api.Transcript, error) {
	if err := transcribe.CheckRequest(req.Engine, req.Language); err != nil {
		return api.Transcript{}, api.Errorf(api.CodeUsage, "%w", err)
	}
	spec := transcriptionSpec{Engine: req.Engine, Language: req.Language}
	video, path, err := n.videoOrFile(req.Ref)
	if err != nil {
		return api.Transcript{}, err
	}
	if path != "" {
		return n.transcribeLoose(ctx, path, spec, emit)
	}
	job, err := transcriptionJob(video, spec)
	if err != nil {
		return api.Transcript{}, err
	}
	for {
		t, joined, err := n.jobs.submit(job)
		if err != nil {
			return api.Transcript{}, err
		}
		err = n.awaitTranscription(ctx, t, emit)
		res, ok := t.transcript()
		if joined && ok && (req.Engine != "" || req.Language != "") {
			continue // it was made as somebody else wanted it
		}
		if ok {
			return res, nil
		}
		return api.Transcript{}, err
	}
}

// awaitTranscription waits for a transcription. Where nobody works off the
// queue it does so itself.
func (n *Node) awaitTranscription(ctx context.Context, t *task, emit func(api.Progress)) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	work, stop := context.WithCancel(ctx)
	defer stop()
	if n.onlineNow() == nil {
		wg.Go(func() { n.logged("transcribe", n.jobs.workOnce(work, kindTranscribe, n.runTranscription)) })
	}
	return t.wait(ctx, emit)
}

// videoOrFile tells a video of the catalogue from a file that is in none.
func (n *Node) videoOrFile(ref string) (cid.Cid, string, error) {
	if !filepath.IsAbs(ref) {
		v, err := n.localVideo(ref)
		return v.CID, "", err
	}
	if f, err := n.store.FileAt(ref); err == nil {
		return f.Video, "", nil
	}
	info, err := os.Stat(ref)
	if err != nil {
		return cid.Undef, "", api.Errorf(api.CodeNotFound, "%w", err)
	}
	if !info.Mode().IsRegular() {
		return cid.Undef, "", api.Errorf(api.CodeUsage, "%s is not a file", ref)
	}
	return cid.Undef, ref, nil
}

// transcribeLoose transcribes a file that is in no catalogue: no job, but the
// same checkpoints, under a key made of what the file is now.
func (n *Node) transcribeLoose(ctx context.Context, path string, spec transcriptionSpec, emit func(api.Progress)) (api.Transcript, error) {
	info, err := os.Stat(path)
	if err != nil {
		return api.Transcript{}, api.Errorf(api.CodeNotFound, "%w", err)
	}
	s := blockstore.StampOf(info)
	key := fmt.Sprintf("file:%s:%d:%d:%d", path, s.Size, s.ModTime, s.Inode)
	t := &task{done: make(chan struct{})}
	var res api.Transcript
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(t.done)
		res, t.err = n.transcribeFile(ctx, t, path, key, spec)
	})
	err = t.wait(context.WithoutCancel(ctx), emit)
	wg.Wait()
	return res, err
}

// TranscriptText writes a transcript in one of its formats.
func (n *Node) TranscriptText(_ context.Context, req api.TranscriptRequest, w io.Writer) error {
	video, path, err := n.videoOrFile(req.Ref)
	if err != nil {
		return err
	}
	if path == "" {
		if path, err = n.filePath(video); err != nil {
			return err
		}
	}
	sidecar, err := transcribe.Find(path, "", req.Format)
	if errors.Is(err, fs.ErrNotExist) {
		return n.noTranscript(video, path)
	}
	if err != nil {
		return api.Errorf(api.CodeUsage, "%w", err)
	}
	f, err := os.Open(sidecar)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

func (n *Node) noTranscript(video cid.Cid, path string) error {
	if video.Defined() {
		if t := n.transcriptState(video); t != nil && t.State != string(transcribe.Done) {
			return api.Errorf(api.CodeNotFound, "%s has no transcript: %s %s", path, t.State, t.Message)
		}
	}
	return api.Errorf(api.CodeNotFound, "%s has no transcript yet; make one with: vidsync transcribe", path)
}
