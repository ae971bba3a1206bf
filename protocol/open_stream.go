package protocol

import (
	"context"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// openStream opens a stream to p that is reset when ctx ends. cfg has its
// defaults. The caller must call end.
func openStream(ctx context.Context, h host.Host, p peer.ID, id protocol.ID, memory int, cfg ClientConfig) (*framing, error) {
	opening, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	if cfg.AllowRelayed {
		opening = network.WithAllowLimitedConn(opening, ServiceName)
	}
	s, err := h.NewStream(opening, p, id)
	if err != nil {
		return nil, err
	}
	f := newFraming(ctx, s, cfg.Timeout)
	if err := f.reserve(memory); err != nil {
		f.end(err)
		return nil, err
	}
	return f, nil
}
