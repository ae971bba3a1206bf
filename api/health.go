package api

// Health is the answer of a daemon that runs.
type Health struct {
	Version string `json:"version"`
	PeerID  string `json:"peer_id"`
}
