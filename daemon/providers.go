package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/exchange"
	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol"
)

const (
	// How long a fetch that never had a provider waits for one, by what the
	// best answer so far was.
	badGrace         = 2 * time.Second  // everybody who answered sent wrong bytes
	refusedGrace     = 3 * time.Second  // refused, or has not got it
	unreachableGrace = 20 * time.Second // nobody answered
	aloneGrace       = 5 * time.Second  // there is nobody to ask

	candidateCheck = time.Second
	maxCandidates  = 64 // asked for one video at a time

	askAgainFirst = time.Second
	askAgainLast  = time.Minute
)

// providers looks, for as long as a fetch runs, for peers that serve its
// video: those that were named, trusted peers, and whoever else is connected
// or on the LAN.
type providers struct {
	net        *network
	trust      *trustList
	video      cid.Cid
	capability []byte
	named      []peer.AddrInfo // by the ticket or the user
	log        *slog.Logger

	manifest chan *manifest.Manifest // receives the first one that a peer sends; nil: known
	peers    chan exchange.Peer      // receives peers that serve the video

	mu     sync.Mutex
	known  *manifest.Manifest
	name   string            // as its provider calls it
	asked  map[peer.ID]error // the last answer of each candidate; nil: serves
	banned map[peer.ID]error
	served bool // some peer has been a provider
}

func newProviders(net *network, trust *trustList, video cid.Cid, log *slog.Logger) *providers {
	return &providers{
		net: net, trust: trust, video: video, log: log,
		manifest: make(chan *manifest.Manifest, 1),
		peers:    make(chan exchange.Peer),
		asked:    map[peer.ID]error{},
		banned:   map[peer.ID]error{},
	}
}

// lookUntil is run, with the end of ctx as success.
func (p *providers) lookUntil(ctx context.Context) error {
	if err := p.run(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// run asks candidates until ctx ends, or until it is clear that nobody who can
// be asked will help.
func (p *providers) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	started := time.Now()
	g.Go(func() error {
		tick := time.NewTicker(candidateCheck)
		defer tick.Stop()
		for {
			for _, info := range p.fresh() {
				g.Go(func() error { p.keepAsking(ctx, info); return nil })
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-tick.C:
			}
			if err := p.hopeless(time.Since(started)); err != nil {
				return err
			}
		}
	})
	return g.Wait()
}

// fresh returns the candidates that nobody asks yet, and marks them as asked.
func (p *providers) fresh() []peer.AddrInfo {
	var fresh []peer.AddrInfo
	for _, info := range p.candidates() {
		p.mu.Lock()
		_, known := p.asked[info.ID]
		if !known && info.ID != p.net.host.ID() && len(p.asked) < maxCandidates {
			p.asked[info.ID] = errNotAskedYet
			fresh = append(fresh, info)
		}
		p.mu.Unlock()
	}
	return fresh
}

var errNotAskedYet = errors.New("has not answered yet")

func (p *providers) candidates() []peer.AddrInfo {
	infos := append([]peer.AddrInfo(nil), p.named...)
	infos = append(infos, p.net.contacts(p.trust)...)
	for _, id := range p.net.host.Network().Peers() {
		infos = append(infos, peer.AddrInfo{ID: id})
	}
	return append(infos, p.net.lanPeers()...)
}

// keepAsking serves one candidate: connect, ask, hand to the exchange, and
// again after a pause once it is lost.
func (p *providers) keepAsking(ctx context.Context, info peer.AddrInfo) {
	pause := askAgainFirst
	for ctx.Err() == nil && !p.isBanned(info.ID) {
		started := time.Now()
		err := p.ask(ctx, info)
		p.answer(info.ID, err)
		if ctx.Err() == nil {
			p.log.Debug("provider lost", "video", p.video, "peer", info.ID, "reason", err)
		}
		if time.Since(started) > askAgainLast {
			pause = askAgainFirst // it was of use for a while
		}
		select {
		case <-ctx.Done():
		case <-time.After(jitter(pause)):
		}
		pause = min(2*pause, askAgainLast)
	}
}

// ask returns when the candidate is of no more use, and says why.
func (p *providers) ask(ctx context.Context, info peer.AddrInfo) error {
	if !p.net.connected(info.ID) {
		if err := p.net.connect(ctx, info); err != nil {
			return fmt.Errorf("%w: %s", errUnreachable, lastLine(err))
		}
	}
	remote := protocol.NewRemote(p.net.host, info.ID, p.video, p.capability, protocol.ClientConfig{Buffers: p.net.buffers})
	m, err := p.manifestFrom(ctx, remote)
	if err != nil {
		return err
	}
	remote.SetManifest(m)
	link := &link{Remote: remote, peer: info.ID, providers: p, ended: make(chan struct{})}
	select {
	case p.peers <- link:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-link.ended:
		return link.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

var errUnreachable = errors.New("cannot be reached")

// lastLine is the end of libp2p's dial errors, which have a line for each
// address that was tried.
func lastLine(err error) string {
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// manifestFrom returns the manifest, from the peer if nobody gave it before.
func (p *providers) manifestFrom(ctx context.Context, remote *protocol.Remote) (*manifest.Manifest, error) {
	p.mu.Lock()
	m := p.known
	p.mu.Unlock()
	if m != nil {
		return m, nil
	}
	m, err := remote.Manifest(ctx)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil {
		p.known, p.name = m, remote.Name()
		p.manifest <- m // has room for the one that is ever sent
	}
	return p.known, nil
}

// know tells the manifest to the candidates' askers.
func (p *providers) know(m *manifest.Manifest) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known = m
}

// suggestedName is what the provider of the manifest calls the video.
func (p *providers) suggestedName() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.name
}

func (p *providers) answer(id peer.ID, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked[id] = err
	if err == nil {
		p.served = true
	}
}

// ban remembers a peer that sent wrong bytes. It is not asked again.
func (p *providers) ban(id string, why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for known := range p.asked {
		if known.String() == id {
			p.banned[known] = why
		}
	}
}

func (p *providers) isBanned(id peer.ID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.banned[id] != nil
}

// link is a provider in the hands of the exchange. It notes how the peer's
// service began and ended.
type link struct {
	*protocol.Remote
	peer      peer.ID
	providers *providers
	ended     chan struct{}
	err       error // valid once ended is closed
}

// Run implements exchange.Peer. The exchange calls it once.
func (l *link) Run(ctx context.Context, update func(block int, mask uint32)) error {
	defer close(l.ended)
	first := true
	l.err = l.Remote.Run(ctx, func(block int, mask uint32) {
		if first && mask != 0 {
			l.providers.answer(l.peer, nil)
			first = false
		}
		update(block, mask)
	})
	if l.err == nil {
		l.err = errors.New("peer closed its streams")
	}
	return l.err
}

// hopeless says why a fetch should end for want of a provider, or nil while
// there is hope. A fetch that once had one goes on waiting for it, unless all
// there were sent wrong bytes.
func (p *providers) hopeless(waited time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var refused, absent, unreachable, pending []string
	for id, err := range p.asked {
		switch {
		case p.banned[id] != nil:
		case err == nil:
			return nil
		case errors.Is(err, protocol.ErrRefused):
			refused = append(refused, id.String())
		case errors.Is(err, fs.ErrNotExist):
			absent = append(absent, id.String())
		case errors.Is(err, errNotAskedYet):
			pending = append(pending, id.String())
		default:
			unreachable = append(unreachable, fmt.Sprintf("%s (%v)", id, err))
		}
	}
	switch {
	case len(p.banned) > 0 && len(pending)+len(unreachable) == 0 && waited > badGrace:
		return p.allBad()
	case p.served:
		return nil
	case len(p.asked) == 0 && waited > aloneGrace:
		return p.noProvider("no peer is known; name one with --peer, trust one with `vidsync peer add`, or use a ticket")
	case len(pending)+len(unreachable) == 0 && len(refused) > 0 && waited > refusedGrace:
		return api.Errorf(api.CodeRefused, "refused by %s: this node (%s) is not trusted there and has no valid ticket; ask for a ticket, or let its owner run: vidsync peer add %s",
			strings.Join(refused, ", "), p.net.host.ID(), p.net.host.ID())
	case len(pending)+len(unreachable) == 0 && len(absent) > 0 && waited > refusedGrace:
		return p.noProvider("asked and found without it: " + strings.Join(absent, ", "))
	case waited > unreachableGrace:
		return p.noProvider("unreachable: " + strings.Join(append(unreachable, pending...), ", "))
	}
	return nil
}

func (p *providers) allBad() error {
	for id, why := range p.banned {
		return api.Errorf(api.CodeCorrupt, "peer %s sent wrong bytes and nobody else has video %s: %v; ask its owner to run `vidsync verify` there, then fetch again", id, p.video, why)
	}
	return nil
}

func (p *providers) noProvider(detail string) error {
	return &waitError{err: api.Errorf(api.CodeUnavailable, "no provider of video %s: %s", p.video, detail)}
}
