package daemon

import (
	"testing"
	"time"

	"github.com/vidsync/vidsync/api"
)

// A transcription whose engine is missing pauses for minutes. A fetch that
// comes upon it then tells what is known instead of waiting.
func TestPausingTranscriptionIsNotAwaited(t *testing.T) {
	n := testNode(t)
	video := testVideo(t, 1).CID()
	found := &api.Transcript{State: "engine_missing", Message: "install one", Files: []string{}}
	job, err := transcriptionJob(video, transcriptionSpec{Result: found})
	if err != nil {
		t.Fatal(err)
	}
	job.State, job.NotBefore = stateWaiting, time.Now().Add(time.Hour)
	if err := n.store.PutJob(job); err != nil {
		t.Fatal(err)
	}
	n.jobs.mu.Lock()
	n.jobs.add(job)
	n.jobs.mu.Unlock()
	if got := n.awaitTranscript(t.Context(), video, nil); got.State != found.State || got.Message != found.Message {
		t.Errorf("told %+v, want %+v", got, found)
	}
}
