package protocol

import (
	"context"
	"fmt"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/vidsync/vidsync/manifest"
)

// AskHoldings asks peer p what it holds, at this moment, of the video whose
// manifest is m, with that capability (nil for none). The stream is a new one,
// so that what was said before does not count. The answer is the peer's word.
// Of a video that it holds whole it has no piece missing; of others, blocks that
// it holds in part may be left out. Errors are ctx's, or wrap fs.ErrNotExist (it
// has not got the video), ErrRefused, ErrBusy, ErrProtocol or what the network
// said.
func AskHoldings(ctx context.Context, h host.Host, p peer.ID, m *manifest.Manifest, capability []byte, cfg ClientConfig) (*manifest.Holdings, error) {
	view, err := NewRemote(h, p, m.CID(), capability, cfg).openHoldings(ctx, m, new(earlyStreams), nil)
	if err == nil {
		view.end(nil)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("holdings of %s at %s: %w", m.CID(), p, err)
	}
	return view.first, nil
}
