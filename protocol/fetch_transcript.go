package protocol

import (
	"context"
	"fmt"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/vidsync/vidsync/protocol/internal/wire"
)

// FetchTranscript gets the transcript of a video from peer p, which is asked
// with that capability (nil for none): at least one sidecar, each of another
// format. Their text is the peer's word, and not checked. Errors are ctx's, or
// wrap fs.ErrNotExist (the peer has none), ErrRefused, ErrBusy (also if this
// node has no memory for it), ErrProtocol or what the network said.
func FetchTranscript(ctx context.Context, h host.Host, p peer.ID, video cid.Cid, capability []byte, cfg ClientConfig) ([]Sidecar, error) {
	sidecars, err := fetchTranscript(ctx, h, p, &wire.Open{Video: video.Bytes(), Capability: capability}, cfg.withDefaults())
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("transcript of %s from %s: %w", video, p, err)
	}
	return sidecars, nil
}

func fetchTranscript(ctx context.Context, h host.Host, p peer.ID, open *wire.Open, cfg ClientConfig) (sidecars []Sidecar, err error) {
	f, err := openStream(ctx, h, p, TranscriptID, controlBytes, cfg)
	if err != nil {
		return nil, err
	}
	defer func() { f.end(err) }()
	if err := f.write(open); err != nil {
		return nil, err
	}
	var answer wire.TranscriptAnswer
	if err := f.read(&answer, MaxAnswerBytes); err != nil {
		return nil, cutShort(err)
	}
	if err := errorOf(answer.Status); err != nil {
		return nil, err
	}
	if err := checkSidecars(answer.Sidecars); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrProtocol, err)
	}
	release, err := reserveSidecars(h, answer.Sidecars)
	if err != nil {
		return nil, err
	}
	defer release()
	return f.readSidecars(answer.Sidecars)
}

// reserveSidecars makes the resource manager count the bytes that are to come,
// until release is called. They do not count as the stream's: a stream may
// have less than they are.
func reserveSidecars(h host.Host, headers []*wire.SidecarHeader) (release func(), err error) {
	total := 0
	for _, s := range headers {
		total += int(s.Size)
	}
	err = h.Network().ResourceManager().ViewService(ServiceName, func(service network.ServiceScope) error {
		span, err := service.BeginSpan()
		if err != nil {
			return err
		}
		release = span.Done
		if err := span.ReserveMemory(total, network.ReservationPriorityHigh); err != nil {
			span.Done()
			return err
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrBusy, err)
	}
	return release, nil
}

func (f *framing) readSidecars(headers []*wire.SidecarHeader) ([]Sidecar, error) {
	sidecars := make([]Sidecar, len(headers))
	for i, s := range headers {
		sidecars[i] = Sidecar{Format: s.Format, Data: make([]byte, s.Size)}
		if err := f.readFull(sidecars[i].Data); err != nil {
			return nil, err
		}
	}
	return sidecars, nil
}
