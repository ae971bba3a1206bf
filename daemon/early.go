package daemon

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol"
)

const (
	// maxEarly is how many peers, for all fetches together, may have streams open
	// that nobody reads yet: what lies in them is up to 6 MiB of each.
	maxEarly = 8

	// earlyFor is how long such streams are kept for a fetch that is not ready
	// for peers. Later it opens new ones: servers reset what is not read.
	earlyFor = 5 * time.Second
)

// manifestFrom returns the manifest, from the peer if nobody gave it before. Of
// peers that this node's user chose, the streams for pieces are opened at the
// same time, which saves a round trip. The caller calls done when the streams are
// in good hands or given up, also after an error.
func (p *providers) manifestFrom(ctx context.Context, remote *protocol.Remote, id peer.ID) (m *manifest.Manifest, done func(), err error) {
	p.mu.Lock()
	m, chosen := p.known, p.isChosen(id)
	p.mu.Unlock()
	done = func() {}
	if m != nil {
		return m, done, nil
	}
	if done, chosen = p.net.beginEarly(chosen); chosen {
		m, err = remote.Begin(ctx)
	} else {
		m, err = remote.Manifest(ctx)
	}
	if err != nil {
		return nil, done, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil {
		p.known, p.name = m, remote.Name()
		p.manifest <- m // has room for the one that is ever sent
	}
	return p.known, done, nil
}

// isChosen tells whether this node's user named the peer or trusts it. The caller
// holds mu.
func (p *providers) isChosen(id peer.ID) bool {
	is := func(info peer.AddrInfo) bool { return info.ID == id }
	return slices.ContainsFunc(p.named, is) || p.trust.has(id) || slices.ContainsFunc(p.net.staticPeers(), is)
}

// beginEarly takes one of the places for peers with streams that nobody reads
// yet, if it is wanted and there is one. done gives it back.
func (n *network) beginEarly(wanted bool) (done func(), ok bool) {
	if !wanted {
		return func() {}, false
	}
	select {
	case n.early <- struct{}{}:
		return sync.OnceFunc(func() { <-n.early }), true
	default:
		return func() {}, false
	}
}

// handOver gives a peer to the exchange. If that is not ready for it soon, the
// streams that were opened early are given up.
func (p *providers) handOver(ctx context.Context, l *link, done func()) error {
	late := time.NewTimer(earlyFor)
	defer late.Stop()
	defer done()
	for {
		select {
		case p.peers <- l:
			return nil
		case <-late.C:
			l.GiveUp()
			done()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
