package protocol

import (
	"context"
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol/internal/wire"
)

// Manifest fetches the video's manifest, each node verified as it comes, and
// keeps it for Run. Errors are those of Run, and manifest.ErrCorrupt or
// manifest.ErrMalformed if the peer sent something else.
func (r *Remote) Manifest(ctx context.Context) (*manifest.Manifest, error) {
	m, err := r.loadManifest(ctx)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("manifest %s from %s: %w", r.video, r.peer, err)
	}
	r.SetManifest(m)
	return m, nil
}

// Name is what the peer calls the video, as it said with the manifest: a hint
// from a stranger, of any bytes. Empty before Manifest, or if it said nothing.
func (r *Remote) Name() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.name
}

func (r *Remote) setName(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.name = name
}

func (r *Remote) loadManifest(ctx context.Context) (m *manifest.Manifest, err error) {
	f, err := r.openStream(ctx, ManifestID, controlBytes+manifest.MaxNodeBytes)
	if err != nil {
		return nil, err
	}
	defer func() { f.end(err) }()
	return manifest.Load(ctx, r.video, func(_ context.Context, path []int, _ cid.Cid) ([]byte, error) {
		return r.node(f, path)
	})
}

func (r *Remote) node(f *framing, path []int) ([]byte, error) {
	req := &wire.NodeRequest{Video: r.video.Bytes(), Capability: r.capability}
	for _, index := range path {
		req.Path = append(req.Path, uint32(index))
	}
	if err := f.write(req); err != nil {
		return nil, err
	}
	var answer wire.NodeAnswer
	if err := f.read(&answer, MaxAnswerBytes); err != nil {
		return nil, cutShort(err)
	}
	if err := errorOf(answer.Status); err != nil {
		return nil, err
	}
	if answer.Size == 0 || answer.Size > manifest.MaxNodeBytes {
		return nil, fmt.Errorf("%w: manifest node of %d bytes", ErrProtocol, answer.Size)
	}
	if len(answer.Name) > MaxNameBytes {
		return nil, fmt.Errorf("%w: name of %d bytes", ErrProtocol, len(answer.Name))
	}
	if len(path) == 0 {
		r.setName(string(answer.Name))
	}
	node := make([]byte, answer.Size)
	return node, f.readFull(node)
}
