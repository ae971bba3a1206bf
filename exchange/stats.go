package exchange

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/vidsync/vidsync/manifest"
)

// maxGone bounds the number of peers remembered after they are gone.
const maxGone = 256

// State tells how a peer is doing.
type State string

// The states of a peer.
const (
	Active  State = "active"  // here, and answering what it is asked
	Stalled State = "stalled" // silent for too long: asked for one piece at a time
	Banned  State = "banned"  // delivered a piece that does not match the video
	Gone    State = "gone"    // lost; it may come back
)

// Stats is a snapshot of an Exchange.
type Stats struct {
	Size      int64 // of the video, in bytes
	Done      int64 // bytes in the sink, with those had at the start
	Received  int64 // bytes that peers delivered
	Duplicate int64 // of those, bytes that were not needed any more
	Peers     []PeerStats
}

// PeerStats is a snapshot of one peer, present or past.
type PeerStats struct {
	ID             string
	State          State
	Bytes          int64         // delivered in all, over every time it was here
	BytesPerSecond float64       // now, averaged over a few seconds
	InFlight       int64         // bytes asked for and not delivered
	RoundTrip      time.Duration // estimated from the quickest answer
}

// record is what outlives a peer's presence, by ID.
type record struct {
	id    string
	state State
	bytes int64
}

// recordOf returns the record of an ID, a new one if it is unknown.
func (x *Exchange) recordOf(id string) *record {
	r := x.records[id]
	if r == nil {
		x.forgetGone()
		r = &record{id: id, state: Gone}
		x.records[id] = r
	}
	return r
}

// forgetGone drops the records of peers that are gone once there are many.
func (x *Exchange) forgetGone() {
	if len(x.records) < maxGone {
		return
	}
	for id, r := range x.records {
		if r.state == Gone {
			delete(x.records, id)
		}
	}
}

// Stats returns a snapshot, peers in the order of their IDs. It is safe to call
// at any time.
func (x *Exchange) Stats() Stats {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := Stats{
		Size:      x.index.size,
		Done:      x.index.have.Bytes(),
		Received:  x.received,
		Duplicate: x.duplicate,
		Peers:     make([]PeerStats, 0, len(x.records)),
	}
	here := make(map[*record]*peer, len(x.peers))
	for _, p := range x.peers {
		here[p.record] = p
	}
	now := time.Now()
	for _, r := range x.records {
		ps := PeerStats{ID: r.id, State: r.state, Bytes: r.bytes}
		if p := here[r]; p != nil {
			ps.BytesPerSecond, ps.InFlight, ps.RoundTrip = p.currentRate(now), p.owed, p.roundTrip()
		}
		s.Peers = append(s.Peers, ps)
	}
	slices.SortFunc(s.Peers, func(a, b PeerStats) int { return cmp.Compare(a.ID, b.ID) })
	return s
}

// currentRate is the measured rate, fading while nothing comes: with the time
// that a silence lasts, or with the time since there was nothing to ask.
func (p *peer) currentRate(now time.Time) float64 {
	if !p.rate.known() || p.stalls > 0 {
		return 0
	}
	if silence := p.silence(now); silence > 0 {
		return min(p.rate.perSecond, manifest.PieceSize/silence.Seconds())
	}
	idle := now.Sub(p.heard)
	return p.rate.perSecond * math.Exp(-idle.Seconds()/rateHorizon.Seconds())
}

// roundTrip is the quickest answer less the piece's own time.
func (p *peer) roundTrip() time.Duration {
	return max(0, p.quickest-timeFor(manifest.PieceSize, p.speed()))
}
