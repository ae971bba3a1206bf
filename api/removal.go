package api

import "time"

// Removal says that the file of a video was deleted here because other peers
// hold it.
type Removal struct {
	CID     string          `json:"cid"`
	Path    string          `json:"path"`
	Size    int64           `json:"size"` // in bytes
	Time    time.Time       `json:"time"`
	Holders []RemovalHolder `json:"holders"` // who said just then that they have it whole
}

// RemovalHolder is a peer that counts, or has counted, for a removal.
type RemovalHolder struct {
	PeerID  string     `json:"peer_id"`
	Name    string     `json:"name,omitempty"`
	Receipt *time.Time `json:"receipt,omitempty"` // when it had read every byte, as it has signed
}
