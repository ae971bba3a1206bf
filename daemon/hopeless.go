package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/protocol"
)

const (
	// How long a fetch that never had a provider waits for one, by what the
	// best answer so far was.
	badGrace         = 2 * time.Second  // everybody who answered sent wrong bytes
	refusedGrace     = 3 * time.Second  // refused, or has not got it
	unreachableGrace = 20 * time.Second // nobody answered
	aloneGrace       = 5 * time.Second  // there is nobody to ask

	// A fetch whose providers are all gone for yieldAfter leaves its place to
	// others that wait for one, for yieldPause.
	yieldAfter = time.Minute
	yieldPause = time.Minute
)

// hopeless says why a fetch should end for want of a provider, or nil while
// there is hope. A fetch that once had one goes on waiting for it, unless all
// there were sent wrong bytes, or others wait for its place.
func (p *providers) hopeless(now time.Time) error {
	crowded := p.crowded != nil && p.crowded()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.needed.IsZero() {
		return nil
	}
	if p.malformed != nil {
		return p.notAVideo()
	}
	a := p.answers()
	if a.serving {
		p.served = now
		return nil
	}
	waited := now.Sub(p.needed)
	switch {
	case len(p.banned) > 0 && len(a.unclear) == 0 && waited > badGrace:
		return p.allBad()
	case !p.served.IsZero() && crowded && now.Sub(p.served) > yieldAfter && waited > yieldAfter:
		return &waitError{err: api.Errorf(api.CodeUnavailable, "no provider of video %s is left; other fetches go first", p.video), pause: yieldPause, yields: true}
	case !p.served.IsZero():
		return nil
	case len(p.asked) == 0 && waited > aloneGrace:
		return p.noProvider("no peer is known; name one with --peer, trust one with `vidsync peer add`, or use a ticket")
	case len(a.unclear) == 0 && len(a.refused) > 0 && waited > refusedGrace:
		return api.Errorf(api.CodeRefused, "refused by %s: this node (%s) is not trusted there and has no valid ticket; ask for a ticket, or let its owner run: vidsync peer add %s",
			strings.Join(a.refused, ", "), p.net.host.ID(), p.net.host.ID())
	case len(a.unclear) == 0 && len(a.absent) > 0 && waited > refusedGrace:
		return p.noProvider("asked and found without it: " + strings.Join(a.absent, ", "))
	case waited > unreachableGrace:
		return p.noProvider("asked in vain: " + strings.Join(a.unclear, ", "))
	}
	return nil
}

// answers is how the candidates have answered so far.
type answers struct {
	serving         bool     // one of them has pieces
	refused, absent []string // peer IDs
	unclear         []string // peer IDs, each with why
}

// answers sorts the candidates, but for banned ones. The caller holds mu.
func (p *providers) answers() answers {
	var a answers
	for id, err := range p.asked {
		switch {
		case p.banned[id] != nil:
		case err == nil:
			a.serving = true
		case errors.Is(err, protocol.ErrRefused):
			a.refused = append(a.refused, id.String())
		case errors.Is(err, fs.ErrNotExist):
			a.absent = append(a.absent, id.String())
		default:
			a.unclear = append(a.unclear, fmt.Sprintf("%s (%v)", id, err))
		}
	}
	return a
}

func (p *providers) allBad() error {
	for id, why := range p.banned {
		lift := "rm" // of who is not trusted, or adding it would make it so
		if p.trust.has(id) {
			lift = "add"
		}
		return api.Errorf(api.CodeCorrupt, "peer %s sent wrong bytes and nobody else has video %s: %v; ask its owner to run `vidsync verify --repair` there, then lift the ban with: vidsync peer %s %s", id, p.video, why, lift, id)
	}
	return nil
}

func (p *providers) noProvider(detail string) error {
	return &waitError{err: api.Errorf(api.CodeUnavailable, "no provider of video %s: %s", p.video, detail)}
}
