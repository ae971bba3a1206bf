package daemon

import (
	"fmt"
	"sync"
	"time"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/exchange"
	"github.com/vidsync/vidsync/manifest"
)

// progress is what a fetch shows of itself once it has a file.
func (f *fetch) progress(m *manifest.Manifest, phase string) api.Progress {
	have, _ := f.file.Load().Holdings()
	p := api.Progress{Phase: phase, Name: f.displayName(), Done: have.Bytes(), Size: m.Size(), ETASeconds: -1, Peers: []api.PeerShare{}}
	x := f.x.Load()
	if x == nil || phase != "fetching" {
		return p
	}
	stats := x.Stats()
	p.Peers = shares(stats)
	for _, peer := range stats.Peers {
		p.BytesPerSecond += peer.BytesPerSecond
	}
	if p.BytesPerSecond > 0 {
		p.ETASeconds = float64(p.Size-p.Done) / p.BytesPerSecond
	}
	if silent := f.silence.since(stats.Received); silent > silentAfter {
		p.BytesPerSecond, p.ETASeconds = 0, -1
		p.Message = fmt.Sprintf("no bytes for %v", silent.Round(time.Second))
	}
	if activePeers(stats) == 0 {
		p.Message = "waiting for a provider"
	}
	return p
}

// silentAfter is when a fetch says that nothing comes, instead of a rate.
const silentAfter = 5 * time.Second

// silence tells how long a count has stood still.
type silence struct {
	mu    sync.Mutex
	count int64
	at    time.Time
}

func (s *silence) since(count int64) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at.IsZero() || count != s.count {
		s.count, s.at = count, time.Now()
	}
	return time.Since(s.at)
}

func (f *fetch) displayName() string {
	if f.spec.Name != "" {
		return safeName(f.spec.Name, f.video)
	}
	return f.video.String()
}

func activePeers(stats exchange.Stats) int {
	active := 0
	for _, p := range stats.Peers {
		if p.State == exchange.Active || p.State == exchange.Stalled {
			active++
		}
	}
	return active
}

func shares(stats exchange.Stats) []api.PeerShare {
	out := []api.PeerShare{}
	for _, p := range stats.Peers {
		out = append(out, api.PeerShare{PeerID: p.ID, Bytes: p.Bytes})
	}
	return out
}

func (f *fetch) result(m *manifest.Manifest, path string) api.FetchResult {
	r := api.FetchResult{
		CID: f.video.String(), Path: path, Size: m.Size(), Peers: []api.PeerShare{},
		ResumedBytes: f.resumed, LocalBytes: f.local.Load(), Seconds: time.Since(f.started).Seconds(),
	}
	if x := f.x.Load(); x != nil {
		stats := x.Stats()
		r.BytesReceived, r.DuplicateBytes, r.Peers = stats.Received, stats.Duplicate, shares(stats)
	}
	return r
}
