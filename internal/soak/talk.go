package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/internal/rig"
)

// sidecars is how many files a transcript has.
const sidecars = 4

// runTalk kills the receiver while it transcribes.
func runTalk(ctx context.Context, r *round) error {
	if err := r.canTranscribe(ctx); err != nil {
		return err
	}
	if err := r.makeTalk(ctx); err != nil {
		return err
	}
	r.expect(filepath.Join(r.receiver.home, "videos"), r.source)
	r.request.NoTranscribe = false
	if err := r.submit(ctx); err != nil {
		return err
	}
	for range 1 + r.rng.IntN(3) {
		if _, err := until(ctx, wholePatience, func() (bool, error) {
			state, err := r.transcription(ctx)
			return state == "running" || state == "done", err
		}); err != nil {
			return err
		}
		if err := sleep(ctx, r.upTo(3*time.Second)); err != nil {
			return err
		}
		if err := r.crash(ctx, r.receiver); err != nil {
			return err
		}
	}
	if err := r.awaitWhole(ctx, r.receiver); err != nil {
		return err
	}
	return r.awaitTranscript(ctx)
}

// canTranscribe asks the receiver's doctor.
func (r *round) canTranscribe(ctx context.Context) error {
	if err := r.receiver.start(ctx); err != nil {
		return err
	}
	checks, err := r.receiver.api().Doctor(ctx)
	if err != nil {
		return err
	}
	for _, c := range checks {
		if c.Name == "transcription" && c.State == "problem" {
			return &leftOut{c.Detail}
		}
	}
	return r.limit(ctx, "")
}

// makeTalk makes a video in which a sentence is spoken four times, and adds it.
func (r *round) makeTalk(ctx context.Context) error {
	_, said, code, err := rig.Command(ctx, "ffmpeg", "-nostdin", "-v", "error", "-y",
		"-f", "lavfi", "-i", "flite=text='thank you very much for watching and see you again next week':voice=slt",
		"-af", "apad=pad_dur=1.5,aloop=loop=3:size=1000000", "-c:a", "aac", r.video.path)
	if err != nil || code != 0 {
		return &leftOut{strings.TrimSpace(fmt.Sprintf("ffmpeg makes no talk: %s %v", said, err))}
	}
	info, err := os.Stat(r.video.path)
	if err != nil {
		return err
	}
	r.video.size, r.video.style = info.Size(), "talk"
	if err := r.source.start(ctx); err != nil {
		return err
	}
	return r.add(ctx, r.source)
}

// transcription is the state of the receiver's transcription; empty before it
// has one.
func (r *round) transcription(ctx context.Context) (string, error) {
	jobs, err := r.receiver.api().Jobs(ctx)
	for _, j := range jobs {
		if j.CID == r.video.cid && j.Kind == "transcribe" {
			return j.State, err
		}
	}
	return "", err
}

func (r *round) awaitTranscript(ctx context.Context) error {
	ok, err := until(ctx, wholePatience, func() (bool, error) {
		state, err := r.transcription(ctx)
		if state == "failed" {
			err = violated("a transcription goes on after a kill", "it failed")
		}
		return state == "done", err
	})
	if err == nil && !ok {
		err = violated("a transcription goes on after a kill", "not done after %v", wholePatience)
	}
	if err != nil {
		return err
	}
	return r.checkTranscript(ctx)
}

func (r *round) checkTranscript(ctx context.Context) error {
	info, err := r.receiver.api().Info(ctx, r.video.cid)
	if err != nil {
		return err
	}
	if len(info.Transcripts) != sidecars {
		return violated("a transcript has all its files", "%v", info.Transcripts)
	}
	for _, path := range info.Transcripts {
		text, err := os.ReadFile(path)
		if err == nil && filepath.Ext(path) == ".json" && !json.Valid(text) {
			err = errors.New("it is not JSON")
		}
		if err == nil && !strings.Contains(string(text), "week") {
			err = errors.New("what was said is not in it")
		}
		if err != nil {
			return violated("a transcript has all its files", "%s: %v", path, err)
		}
	}
	var out strings.Builder
	return r.receiver.api().TranscriptText(ctx, api.TranscriptRequest{Ref: r.video.cid, Format: "srt"}, &out)
}
