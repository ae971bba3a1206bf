package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"github.com/vidsync/vidsync/exchange"
	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol"
)

const (
	candidateCheck = time.Second
	maxCandidates  = 256 // asked for one video at a time
	maxStrangers   = 64  // of those, so that strangers crowd out nobody

	askAgainFirst = time.Second
	askAgainSoon  = 10 * time.Second // at most, of a peer that has served the fetch
	askAgainLast  = time.Minute
)

// providers looks, for as long as a fetch runs, for peers that serve its
// video: those that were named, trusted peers, and whoever else is connected
// or on the LAN.
type providers struct {
	net     *network
	trust   *trustList
	video   cid.Cid
	log     *slog.Logger
	crowded func() bool // tells whether other fetches wait for this one's place; nil: none ever do
	bans    *banList

	manifest chan *manifest.Manifest // receives the first one that a peer sends; nil: known
	peers    chan exchange.Peer      // receives peers that serve the video
	joined   chan struct{}           // holds one: a request may have named another

	mu         sync.Mutex
	capability []byte
	named      []peer.AddrInfo // by tickets or the user
	known      *manifest.Manifest
	name       string            // as its provider calls it
	asked      map[peer.ID]error // the last answer of each candidate; nil: serves
	banned     map[peer.ID]error
	needed     time.Time // since when peers are needed; zero: not now
	served     time.Time // when a provider was last seen; zero: never
}

func newProviders(net *network, trust *trustList, bans *banList, video cid.Cid, log *slog.Logger) *providers {
	return &providers{
		net: net, trust: trust, bans: bans, video: video, log: log,
		manifest: make(chan *manifest.Manifest, 1),
		peers:    make(chan exchange.Peer),
		joined:   make(chan struct{}, 1),
		asked:    map[peer.ID]error{},
		banned:   map[peer.ID]error{},
		needed:   time.Now(),
	}
}

// join adds the providers that a request names, and shows its ticket from now
// on.
func (p *providers) join(spec []byte) {
	s, err := blend([][]byte{spec})
	if err != nil {
		return // refused when the fetch began
	}
	defer notify(p.joined)
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.Ticket != "" {
		if inv, err := parseTicket(s.Ticket); err == nil {
			p.capability = inv.Bytes
			p.nameProvider(inv.Provider)
		}
	}
	for _, addr := range s.Peers {
		if info, err := parsePeer(addr); err == nil {
			p.nameProvider(p.net.located(info, p.trust))
		}
	}
}

// nameProvider adds a provider, or its addresses to those of one that was named
// before: a ticket may have an address from long ago. The caller holds mu.
func (p *providers) nameProvider(info peer.AddrInfo) {
	i := slices.IndexFunc(p.named, func(n peer.AddrInfo) bool { return n.ID == info.ID })
	if i < 0 {
		p.named = append(p.named, info)
		return
	}
	p.named[i].Addrs = slices.Concat(info.Addrs, p.named[i].Addrs)
}

// need says that the fetch depends on peers from now on.
func (p *providers) need() { p.setNeeded(time.Now()) }

// rest says that the fetch is busy without peers.
func (p *providers) rest() { p.setNeeded(time.Time{}) }

func (p *providers) setNeeded(since time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.needed = since
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
			case <-p.joined:
			case <-tick.C:
			}
			if err := p.hopeless(time.Now()); err != nil {
				return err
			}
		}
	})
	return g.Wait()
}

// fresh returns the candidates that nobody asks yet, and marks them as asked.
func (p *providers) fresh() []peer.AddrInfo {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append(p.notAsked(p.invited(), maxCandidates), p.notAsked(p.strangers(), maxStrangers)...)
}

// notAsked picks the candidates that were not asked yet, until limit are, and
// marks them as asked. The caller holds mu.
func (p *providers) notAsked(candidates []peer.AddrInfo, limit int) []peer.AddrInfo {
	var fresh []peer.AddrInfo
	for _, info := range candidates {
		_, known := p.asked[info.ID]
		if !known && info.ID != p.net.host.ID() && len(p.asked) < limit {
			p.asked[info.ID] = errNotAskedYet
			if why := p.bans.from(info.ID, p.video, time.Now()); why != nil {
				p.banned[info.ID] = why
				continue
			}
			fresh = append(fresh, info)
		}
	}
	return fresh
}

var (
	errNotAskedYet = errors.New("has not answered yet")
	errNoPieceYet  = errors.New("has no piece of it now")
)

// invited are the candidates that this node's user chose: named for this fetch,
// static or trusted. The caller holds mu.
func (p *providers) invited() []peer.AddrInfo {
	return append(slices.Clone(p.named), p.net.contacts(p.trust)...)
}

// strangers are those who are connected or on the LAN, whoever they are.
func (p *providers) strangers() []peer.AddrInfo {
	var infos []peer.AddrInfo
	for _, id := range p.net.host.Network().Peers() {
		infos = append(infos, peer.AddrInfo{ID: id})
	}
	return append(infos, p.net.lanPeers()...)
}

// keepAsking serves one candidate: connect, ask, hand to the exchange, and
// again after a pause once it is lost.
func (p *providers) keepAsking(ctx context.Context, info peer.AddrInfo) {
	pause, last := askAgainFirst, askAgainLast
	for ctx.Err() == nil && !p.isBanned(info.ID) {
		started := time.Now()
		err := p.ask(ctx, info)
		if p.serves(info.ID) {
			last = askAgainSoon // its way here is interrupted
		}
		p.answer(info.ID, err)
		if ctx.Err() == nil {
			p.log.Debug("provider lost", "video", p.video, "peer", info.ID, "reason", err)
		}
		if time.Since(started) > askAgainLast {
			pause = askAgainFirst // it was of use for a while
		}
		if errors.Is(err, manifest.ErrCorrupt) || errors.Is(err, manifest.ErrMalformed) {
			p.ban(info.ID.String(), err)
			return
		}
		if p.rested(ctx, info.ID, jitter(pause)) {
			pause = askAgainFirst
		} else {
			pause = min(2*pause, last)
		}
	}
}

// rested waits, but not once the peer has connected or this machine's network
// has changed meanwhile: then it tells so at once.
func (p *providers) rested(ctx context.Context, id peer.ID, pause time.Duration) bool {
	was := p.net.connected(id)
	changed := p.net.interfaces.next()
	end := time.Now().Add(pause)
	for left := pause; left > 0; left = time.Until(end) {
		select {
		case <-ctx.Done():
			return false
		case <-changed:
			return true
		case <-time.After(min(left, candidateCheck)):
		}
		is := p.net.connected(id)
		if is && !was {
			return true
		}
		was = is
	}
	return false
}

// ask returns when the candidate is of no more use, and says why.
func (p *providers) ask(ctx context.Context, info peer.AddrInfo) error {
	if !p.net.connected(info.ID) {
		if err := p.net.connect(ctx, info); err != nil {
			return fmt.Errorf("%w: %s", errUnreachable, lastLine(err))
		}
	}
	if p.net.relayOnly(info.ID) {
		p.answer(info.ID, errRelayOnly) // until a straight way is found
	}
	remote := protocol.NewRemote(p.net.host, info.ID, p.video, p.ticket(), p.net.client())
	defer remote.GiveUp()
	m, done, err := p.manifestFrom(ctx, remote, info.ID)
	if err != nil {
		done()
		return err
	}
	remote.SetManifest(m)
	p.answer(info.ID, errNoPieceYet)
	link := &link{Remote: remote, peer: info.ID, providers: p, ended: make(chan struct{})}
	if err := p.handOver(ctx, link, done); err != nil {
		return err
	}
	select {
	case <-link.ended:
		return link.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

var (
	errUnreachable = errors.New("cannot be reached")
	errRelayOnly   = errors.New("is reached over a relay only, and videos may not cross it; see --relay-data of the daemon")
)

// lastLine is the end of libp2p's dial errors, which have a line for each
// address that was tried.
func lastLine(err error) string {
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// ticket is the capability to show.
func (p *providers) ticket() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.capability
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
		p.served = time.Now()
	}
}

// serves tells whether the peer has pieces, for all that is known.
func (p *providers) serves(id peer.ID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[id] == nil
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

// onBad is what an exchange calls for a peer that sent wrong bytes.
func (n *Node) onBad(p *providers, m *manifest.Manifest) func(peer string, block, piece int, why error) {
	return func(peer string, block, piece int, why error) {
		n.log.Warn("peer sent wrong bytes", "peer", peer, "video", m.CID(), "block", m.Block(block).CID(), "piece", piece, "error", why)
		p.ban(peer, fmt.Errorf("block %d, piece %d: %w", block, piece, why))
		n.blame(badReport{video: m.CID(), block: block, piece: piece, capability: p.ticket()}, peer, why)
	}
}
