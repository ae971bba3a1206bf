package api

import "time"

// FollowRequest says which peer to follow, and how.
type FollowRequest struct {
	Peer        string   `json:"peer"`                   // ID or name of a trusted peer
	Into        string   `json:"into,omitempty"`         // absolute folder; else one of the peer's own below the videos folder
	Globs       []string `json:"globs,omitempty"`        // of the videos to fetch; none: all
	NewestFirst bool     `json:"newest_first,omitempty"` // else the oldest first
}

// Follow is a followed peer. State is following, or waiting with the reason in
// Message.
type Follow struct {
	Name        string    `json:"name,omitempty"`
	PeerID      string    `json:"peer_id"`
	Into        string    `json:"into"`
	Globs       []string  `json:"globs,omitempty"`
	NewestFirst bool      `json:"newest_first,omitempty"`
	Since       time.Time `json:"since"`
	Seq         int64     `json:"seq"`     // number of the last entry of its catalogue that was seen
	Waiting     int       `json:"waiting"` // videos that are not here yet
	State       string    `json:"state"`
	Message     string    `json:"message,omitempty"`
}

// Receipts are the statements of other peers that they hold a video whole.
type Receipts struct {
	CID      string    `json:"cid"`
	Name     string    `json:"name"`
	Size     int64     `json:"size"`
	Safe     int       `json:"safe"` // other peers that hold it: trusted, with a valid receipt
	Receipts []Receipt `json:"receipts"`
	Removed  *Removal  `json:"removed,omitempty"` // the file here was deleted, as others hold it
}

// Receipt is one peer's signed statement. Its fields from Video to Signature are
// what somebody else needs to verify it, with nothing but Ed25519; docs/protocol.md
// says how.
type Receipt struct {
	Name      string    `json:"name,omitempty"` // of the holder here
	Trusted   bool      `json:"trusted"`        // still
	Video     string    `json:"video"`
	Size      int64     `json:"size"`
	At        time.Time `json:"at"` // when every byte had been read
	Holder    string    `json:"holder"`
	Signed    string    `json:"signed"`    // hexadecimal
	Signature string    `json:"signature"` // hexadecimal
}
