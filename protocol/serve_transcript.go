package protocol

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/ipfs/go-cid"

	"github.com/vidsync/vidsync/protocol/internal/wire"
)

// maxTranscripts and maxTranscriptsPerPeer limit the transcripts that are sent
// at once: all their bytes are in memory.
const (
	maxTranscripts        = 4
	maxTranscriptsPerPeer = 2
)

// Transcripts is where a Server finds the transcripts of its videos.
type Transcripts interface {
	// Transcript returns the sidecars of a video: at least one, each of
	// another format and of at most MaxSidecarBytes. Their bytes are not
	// changed any more. Absence is fs.ErrNotExist; other errors are told like
	// those of a Library. It is called from many goroutines, but never for
	// more than four streams at once.
	Transcript(ctx context.Context, video cid.Cid) ([]Sidecar, error)
}

// serveTranscript answers one request.
func (in *incoming) serveTranscript(ctx context.Context) error {
	var open wire.Open
	if err := in.read(&open, MaxOpenBytes); err != nil {
		return fmt.Errorf("read open: %w", err)
	}
	sidecars, answer, err := in.transcript(ctx, &open)
	if err != nil {
		return in.decline(err, &wire.TranscriptAnswer{Status: statusOf(err)})
	}
	if err := in.write(answer); err != nil {
		return fmt.Errorf("write transcript answer: %w", err)
	}
	for _, s := range sidecars {
		if err := in.writeFull(s.Data); err != nil {
			return fmt.Errorf("write %s sidecar: %w", s.Format, err)
		}
	}
	return nil
}

// transcript takes one of the few places for transcripts, and then loads one.
func (in *incoming) transcript(ctx context.Context, open *wire.Open) ([]Sidecar, *wire.TranscriptAnswer, error) {
	video, err := in.admit(open.Video, open.Capability)
	if err != nil {
		return nil, nil, err
	}
	if in.server.cfg.Transcripts == nil {
		return nil, nil, fmt.Errorf("transcript of %s: %w", video, fs.ErrNotExist)
	}
	if err := in.occupy(in.server.transcripts); err != nil {
		return nil, nil, err
	}
	sidecars, err := in.server.cfg.Transcripts.Transcript(ctx, video)
	answer := &wire.TranscriptAnswer{Status: wire.Status_STATUS_OK}
	if err == nil {
		answer.Sidecars, err = sidecarHeaders(sidecars)
	}
	if err != nil {
		err = fmt.Errorf("transcript of %s: %w", video, err)
		in.server.logInternal("cannot serve transcript", err)
		return nil, nil, err
	}
	return sidecars, answer, nil
}

func sidecarHeaders(sidecars []Sidecar) ([]*wire.SidecarHeader, error) {
	headers := make([]*wire.SidecarHeader, len(sidecars))
	for i, s := range sidecars {
		size := min(len(s.Data), MaxSidecarBytes+1) // which is refused
		headers[i] = &wire.SidecarHeader{Format: s.Format, Size: uint32(size)}
	}
	return headers, checkSidecars(headers)
}
