package protocol

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/ipfs/go-cid"

	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol/internal/wire"
)

// serveManifest answers requests for manifest nodes, one after another, until
// the client closes its side.
func (in *incoming) serveManifest(ctx context.Context) error {
	for {
		var req wire.NodeRequest
		if err := in.read(&req, MaxOpenBytes); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read node request: %w", err)
		}
		node, err := in.node(ctx, &req)
		if err != nil {
			return in.decline(err, &wire.NodeAnswer{Status: statusOf(err)})
		}
		answer := &wire.NodeAnswer{Status: wire.Status_STATUS_OK, Size: uint32(len(node))}
		if len(req.Path) == 0 {
			answer.Name = in.server.nameOf(req.Video)
		}
		if err := in.write(answer); err != nil {
			return fmt.Errorf("write node answer: %w", err)
		}
		if err := in.writeFull(node); err != nil {
			return fmt.Errorf("write manifest node: %w", err)
		}
	}
}

func (in *incoming) node(ctx context.Context, req *wire.NodeRequest) ([]byte, error) {
	video, err := in.admit(req.Video, req.Capability)
	if err != nil {
		return nil, err
	}
	if len(req.Path) > MaxPathLen {
		return nil, fmt.Errorf("%w: path of %d links", errInvalid, len(req.Path))
	}
	path := make([]int, len(req.Path))
	for i, index := range req.Path {
		if index >= manifest.MaxLinks {
			return nil, fmt.Errorf("%w: link %d", errInvalid, index)
		}
		path[i] = int(index)
	}
	return in.server.manifestNode(ctx, video, path)
}

func (s *Server) manifestNode(ctx context.Context, video cid.Cid, path []int) ([]byte, error) {
	node, err := s.cfg.Library.ManifestNode(ctx, video, path)
	if err == nil && (len(node) == 0 || len(node) > manifest.MaxNodeBytes) {
		err = fmt.Errorf("library gave a node of %d bytes", len(node))
	}
	if err != nil {
		err = fmt.Errorf("manifest node %v of %s: %w", path, video, err)
		s.logInternal("cannot serve manifest", err)
	}
	return node, err
}

// nameOf is the hint that goes with a video's root, which was just served.
func (s *Server) nameOf(video []byte) []byte {
	names, ok := s.cfg.Library.(Names)
	if !ok {
		return nil
	}
	c, err := manifest.ParseVideoCIDBytes(video)
	if err != nil {
		return nil // it would have been refused before
	}
	name := names.Name(c)
	return []byte(name[:min(len(name), MaxNameBytes)])
}
