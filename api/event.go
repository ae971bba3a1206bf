package api

import (
	"context"
	"time"
)

// Event is something that happened at a node: to a job, a video or a peer.
// Which fields are set depends on Type.
type Event struct {
	Time    time.Time `json:"time"`
	Type    string    `json:"type"`
	CID     string    `json:"cid,omitempty"`  // of the video
	Name    string    `json:"name,omitempty"` // of the video or peer
	PeerID  string    `json:"peer_id,omitempty"`
	Message string    `json:"message,omitempty"`
}

// Eventer is a node that also reports what happens as it happens. It is apart
// from Node because a node may do without.
type Eventer interface {
	// Events calls emit, from one goroutine at a time, with every event from
	// now on. It blocks until ctx ends (and returns the context's error) or
	// the node closes.
	Events(ctx context.Context, emit func(Event)) error
}

// Health is the answer of a daemon that runs.
type Health struct {
	Version string `json:"version"`
	PeerID  string `json:"peer_id"`
}
