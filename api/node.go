// Package api hides how a program talks to a vidsync node: the types, the HTTP
// handler that serves them on a Unix socket, and the client that calls it.
//
// Node is the whole of what a node can do for its user. The daemon implements
// it; Client implements it by calling a daemon. A command written against Node
// does not know which of the two it has.
package api

import (
	"context"
	"io"
	"iter"
	"time"
)

// Node is one vidsync node as its user sees it. Every error is an *Error or
// the context's. Methods that take emit call it with progress, from one
// goroutine at a time and at most a few times a second; emit may be nil.
// References (ref) are a video's CID, a ticket, or the name of a video here if
// only one bears it.
type Node interface {
	// ID returns the node's peer ID and addresses.
	ID(ctx context.Context) (Identity, error)
	// Add hashes files, and the files below folders, and offers them as
	// videos. Some inputs may fail while the rest is added: they are listed
	// in the result and the error is nil.
	Add(ctx context.Context, req AddRequest, emit func(Progress)) (AddResult, error)
	// Fetch brings a video here whole and, unless told otherwise, waits for
	// its transcript. With Detach it returns once the job is stored.
	Fetch(ctx context.Context, req FetchRequest, emit func(Progress)) (FetchResult, error)
	// Ticket makes a ticket for a video that is here.
	Ticket(ctx context.Context, req TicketRequest) (Ticket, error)
	// Revoke takes back a ticket of this node, or every one that it has signed
	// for a video so far. ref is the ticket, or the video.
	Revoke(ctx context.Context, ref string) (Revoked, error)

	Peers(ctx context.Context) ([]Peer, error)
	// Invite makes an invite, which one other node may Join: then both trust
	// each other.
	Invite(ctx context.Context, req InviteRequest) (Invite, error)
	// Join redeems the invite of another node and returns that node.
	Join(ctx context.Context, req JoinRequest) (Peer, error)
	AddPeer(ctx context.Context, req AddPeerRequest) (Peer, error)
	RemovePeer(ctx context.Context, ref string) (Peer, error) // ref is a peer ID or name

	// Follow has every video of a trusted peer brought here, now and from now
	// on. For one that is followed already it changes how.
	Follow(ctx context.Context, req FollowRequest) (Follow, error)
	Unfollow(ctx context.Context, ref string) (Follow, error) // ref is a peer ID or name
	Follows(ctx context.Context) ([]Follow, error)
	// Receipts lists the other peers that hold a video, as they have signed.
	Receipts(ctx context.Context, ref string) (Receipts, error)

	// Videos yields the catalogue as it is read, and then the videos that are on
	// their way. It ends with the first error, which comes with no video.
	Videos(ctx context.Context) iter.Seq2[Video, error]
	Info(ctx context.Context, ref string) (Info, error)
	Status(ctx context.Context) (Status, error)
	Jobs(ctx context.Context) ([]Job, error)
	Doctor(ctx context.Context) ([]Check, error)
	// Limit changes how fast pieces may leave and come, for good, and returns
	// what holds then. A zero request changes nothing.
	Limit(ctx context.Context, req LimitRequest) (Limits, error)

	// Watches lists the watched folders.
	Watches(ctx context.Context) ([]Watch, error)
	// AddWatch has every video that appears in a folder added by itself, from now
	// on and for good; a daemon does that, at once if it runs.
	AddWatch(ctx context.Context, req AddWatchRequest) (Watch, error)
	// RemoveWatch ends that. What was added stays. dir is absolute; the folder
	// need not be there.
	RemoveWatch(ctx context.Context, dir string) (Watch, error)

	// Cat writes the verified bytes of a range, fetching what is missing.
	Cat(ctx context.Context, req CatRequest, w io.Writer) error
	// Verify reads every byte of the videos again. Damage is in the result,
	// not in the error.
	Verify(ctx context.Context, req VerifyRequest, emit func(Progress)) (VerifyResult, error)
	Remove(ctx context.Context, req RemoveRequest) (Freed, error)
	GC(ctx context.Context) (Freed, error)

	Transcribe(ctx context.Context, req TranscribeRequest, emit func(Progress)) (Transcript, error)
	// TranscriptText writes a transcript that exists in one format.
	TranscriptText(ctx context.Context, req TranscriptRequest, w io.Writer) error
}

// Identity says who a node is.
type Identity struct {
	PeerID string   `json:"peer_id"`
	Addrs  []string `json:"addrs"` // multiaddrs, each ending in /p2p/PEER-ID
}

// AddRequest names what to add.
type AddRequest struct {
	Paths []string `json:"paths"`          // absolute; files or folders
	Name  string   `json:"name,omitempty"` // instead of the file's own; for one file only
	Copy  bool     `json:"copy,omitempty"` // keep a copy in the videos folder
}

// AddResult lists what became of every file.
type AddResult struct {
	Added  []Added   `json:"added"`
	Failed []Failure `json:"failed,omitempty"`
}

// Rebuilt says what an index was made of anew.
type Rebuilt struct {
	Videos   int       `json:"videos"`
	Bytes    int64     `json:"bytes"`
	Jobs     int       `json:"jobs"` // fetches that begin again
	Failed   []Failure `json:"failed,omitempty"`
	SetAside string    `json:"set_aside,omitempty"` // where the old index is now
}

// Added is one video that is now offered.
type Added struct {
	CID  string `json:"cid"`
	Name string `json:"name"`
	Path string `json:"path"`
	Size int64  `json:"size"`
}

// Failure is one input that could not be used, and why.
type Failure struct {
	Path  string `json:"path"`
	Code  Code   `json:"code"`
	Error string `json:"error"`
}

// FetchRequest names a video to bring here.
type FetchRequest struct {
	Ref          string        `json:"ref"`              // CID or ticket
	Output       string        `json:"output,omitempty"` // absolute path of a file or folder; else the videos folder
	Peers        []string      `json:"peers,omitempty"`  // more providers, as multiaddrs with /p2p/
	Timeout      time.Duration `json:"timeout,omitempty" doc:"nanoseconds; 0: none"`
	NoTranscribe bool          `json:"no_transcribe,omitempty"`
	Detach       bool          `json:"detach,omitempty"`
}

// FetchResult says how a fetch went.
type FetchResult struct {
	CID            string      `json:"cid"`
	Path           string      `json:"path"`
	Size           int64       `json:"size"`
	BytesReceived  int64       `json:"bytes_received"`  // from peers, by this fetch since its node started
	DuplicateBytes int64       `json:"duplicate_bytes"` // received twice
	ResumedBytes   int64       `json:"resumed_bytes"`   // on disk from before
	LocalBytes     int64       `json:"local_bytes"`     // taken from other files of this node
	Seconds        float64     `json:"seconds"`
	Peers          []PeerShare `json:"peers"`
	Transcript     *Transcript `json:"transcript,omitempty"`
}

// PeerShare is what one peer gave.
type PeerShare struct {
	PeerID string `json:"peer_id"`
	Bytes  int64  `json:"bytes"`
}

// Transcript says what became of a transcription. State is one of off, queued,
// done, no_audio, unsupported_language, engine_missing, unreadable, failed.
type Transcript struct {
	State    string   `json:"state"`
	Message  string   `json:"message,omitempty"`
	Files    []string `json:"files"`
	Language string   `json:"language,omitempty"`
	Engine   string   `json:"engine,omitempty"`
	Quality  string   `json:"quality,omitempty"` // high, medium, low, none
}

// Progress is one report of a long phase: connecting, copying, hashing,
// fetching, checking, finishing, transcribing.
type Progress struct {
	Phase          string      `json:"phase"`
	Name           string      `json:"name,omitempty"` // of the video or file
	Done           int64       `json:"done"`           // bytes; milliseconds of audio when transcribing
	Size           int64       `json:"size"`           // 0: not known yet
	BytesPerSecond float64     `json:"bytes_per_second"`
	ETASeconds     float64     `json:"eta_seconds"` // below 0: unknown
	Peers          []PeerShare `json:"peers"`
	Message        string      `json:"message,omitempty"` // what it waits for
}

// TicketRequest asks for a ticket.
type TicketRequest struct {
	Ref     string        `json:"ref"`
	Expires time.Duration `json:"expires,omitempty" doc:"nanoseconds from now; 0: the default"`
}

// Ticket is a pasteable permission to fetch one video.
type Ticket struct {
	Ticket  string    `json:"ticket"`
	CID     string    `json:"cid"`
	Name    string    `json:"name"`
	Expires time.Time `json:"expires"`
}

// Revoked says what was taken back.
type Revoked struct {
	CID string `json:"cid"`
	All bool   `json:"all"` // every ticket for the video so far, not only one
}

// InviteRequest asks for an invite.
type InviteRequest struct {
	Expires time.Duration `json:"expires,omitempty" doc:"nanoseconds from now; 0: the default"`
	Follow  bool          `json:"follow,omitempty" doc:"follow the node that joins"`
	Into    string        `json:"into,omitempty" doc:"absolute path of the folder for its videos; empty: the default"`
}

// Invite is a pasteable secret that makes two nodes trust each other, once.
type Invite struct {
	Invite  string    `json:"invite"`
	PeerID  string    `json:"peer_id"` // of the node that made it
	Expires time.Time `json:"expires"`
}

// JoinRequest redeems an invite.
type JoinRequest struct {
	Invite string `json:"invite"`
}

// AddPeerRequest names a peer to trust.
type AddPeerRequest struct {
	Addr string `json:"addr"` // multiaddr with /p2p/, or a bare peer ID
	Name string `json:"name,omitempty"`
}

// Peer is a trusted, banned or connected peer.
type Peer struct {
	Name         string   `json:"name,omitempty"`
	PeerID       string   `json:"peer_id"`
	Addrs        []string `json:"addrs"`
	Trusted      bool     `json:"trusted"`
	Connected    bool     `json:"connected"`
	Transport    string   `json:"transport,omitempty"` // tcp, quic-v1
	RateIn       float64  `json:"rate_in"`             // bytes a second
	RateOut      float64  `json:"rate_out"`
	RoundTripMS  float64  `json:"round_trip_ms"`
	BytesIn      int64    `json:"bytes_in"` // since the node started
	BytesOut     int64    `json:"bytes_out"`
	Banned       bool     `json:"banned,omitempty"`
	BannedReason string   `json:"banned_reason,omitempty"`
	Ban          *Ban     `json:"ban,omitempty"` // the latest
}

// Ban is a bad piece that a peer delivered, or a bad manifest: then Block and
// Piece are -1. It is not asked for that video again for seven days, or until it
// is added or removed as a trusted peer.
type Ban struct {
	CID    string    `json:"cid"`
	Block  int       `json:"block"`
	Piece  int       `json:"piece"`
	Time   time.Time `json:"time"`
	Reason string    `json:"reason"`
}

// Video is one entry of the catalogue. State is whole, partial, changed (its
// file is no longer what was added), missing (its file is gone) or damaged (its
// file looks as it did, but some bytes were found wrong; they are not served).
type Video struct {
	CID        string    `json:"cid"`
	Name       string    `json:"name"`
	Size       int64     `json:"size"`
	Have       int64     `json:"have"` // bytes that can be read here now
	MediaType  string    `json:"media_type,omitempty"`
	Added      time.Time `json:"added"`
	State      string    `json:"state"`
	Path       string    `json:"path,omitempty"`
	Transcript string    `json:"transcript,omitempty"` // state of its transcription
	Damage     []Damage  `json:"damage,omitempty"`     // what is known to be wrong
	Removed    *Removal  `json:"removed,omitempty"`    // if State is removed
}

// Info is one video in detail.
type Info struct {
	CID         string    `json:"cid"`
	Name        string    `json:"name"`
	Size        int64     `json:"size"`
	BlockSize   int64     `json:"block_size"`
	Blocks      []Block   `json:"blocks"`
	Path        string    `json:"path"`
	State       string    `json:"state"`
	MediaType   string    `json:"media_type,omitempty"`
	Added       time.Time `json:"added"`
	Files       []string  `json:"files"`       // every file here that holds it
	Transcripts []string  `json:"transcripts"` // its sidecar files
	Damage      []Damage  `json:"damage,omitempty"`
	Removed     *Removal  `json:"removed,omitempty"` // if State is removed
}

// Block is one block of a video.
type Block struct {
	CID  string `json:"cid"`
	Size int64  `json:"size"`
	Have bool   `json:"have"` // whole and readable here
}

// Status is the node at a glance.
type Status struct {
	PeerID      string    `json:"peer_id"`
	Version     string    `json:"version"`
	Daemon      bool      `json:"daemon"`
	Started     time.Time `json:"started"`
	Addrs       []string  `json:"addrs"`
	Videos      int       `json:"videos"`
	Bytes       int64     `json:"bytes"` // of all videos here
	Peers       int       `json:"peers"` // connected
	RateIn      float64   `json:"rate_in"`
	RateOut     float64   `json:"rate_out"`
	BytesIn     int64     `json:"bytes_in"`
	BytesOut    int64     `json:"bytes_out"`
	MemoryBytes int64     `json:"memory_bytes"` // resident
	DiskFree    int64     `json:"disk_free"`    // where fetched videos go
	Limits      Limits    `json:"limits"`
	Resources   Resources `json:"resources"`
	Jobs        []Job     `json:"jobs"` // not ended
	Hooks       []Hook    `json:"hooks,omitempty"`
}

// Hook is one receiver of events. State is idle, waiting (there are events that
// it has not been told) or failing (the last attempt failed).
type Hook struct {
	Kind      string `json:"kind"`   // webhook or command
	Target    string `json:"target"` // the server, or the program
	State     string `json:"state"`
	Pending   int    `json:"pending"`           // events that it has not been told
	Delivered int64  `json:"delivered"`         // since the node started
	Failures  int64  `json:"failures"`          // attempts, since then
	Lost      int64  `json:"lost"`              // events given up, refused or without room, since then
	Message   string `json:"message,omitempty"` // of the last attempt, if it failed
}

// Resources is how much of its bounded things a node uses.
type Resources struct {
	NetworkMemory Usage `json:"network_memory"` // bytes of connections and streams, serving included
	ServingMemory Usage `json:"serving_memory"` // bytes of vidsync's own streams, with the pieces that are being sent
	PieceMemory   Usage `json:"piece_memory"`   // bytes of pieces asked for, over all fetches
	Streams       Usage `json:"streams"`
	Connections   Usage `json:"connections"`
	OpenFiles     Usage `json:"open_files"`
}

// Usage is how much of one thing is in use. A Limit of 0 is not known.
type Usage struct {
	Used  int64 `json:"used"`
	Limit int64 `json:"limit"`
}

// LimitRequest says what to change of the limits. nil leaves a part as it is.
type LimitRequest struct {
	Reset    bool    `json:"reset,omitempty" doc:"first go back to what the configuration says"`
	Up       *string `json:"up,omitempty" doc:"rate of pieces sent, such as 10M (bytes a second), or off"`
	Down     *string `json:"down,omitempty" doc:"rate of pieces received"`
	Schedule *string `json:"schedule,omitempty" doc:"such as 08:00,2M 19:00,off; empty for none"`
}

// Limits bound how fast the bytes of pieces leave and come, over all peers.
// Rates are bytes a second; 0 is no limit. Of a rate that is set and the
// schedule's, the lower holds.
type Limits struct {
	Up         int64      `json:"up"` // holds now
	Down       int64      `json:"down"`
	SetUp      int64      `json:"set_up"` // whatever the time of day
	SetDown    int64      `json:"set_down"`
	Schedule   string     `json:"schedule,omitempty"`
	NextChange *time.Time `json:"next_change,omitempty"` // by the schedule
	Own        bool       `json:"own"`                   // set by a request, not by the configuration alone
}

// Job is one durable task. Kind is fetch or transcribe. State is queued,
// running, waiting (with the reason in Message), done or failed.
type Job struct {
	ID       string    `json:"id"`
	Kind     string    `json:"kind"`
	CID      string    `json:"cid"`
	Name     string    `json:"name,omitempty"`
	State    string    `json:"state"`
	Message  string    `json:"message,omitempty"`
	Attempts int       `json:"attempts"`
	Created  time.Time `json:"created"`
	Updated  time.Time `json:"updated"`
	Progress *Progress `json:"progress,omitempty"` // while it runs
}

// Check is one finding of doctor. State is ok, warning or problem.
type Check struct {
	Name   string `json:"name"`
	State  string `json:"state"`
	Detail string `json:"detail"`
	Remedy string `json:"remedy,omitempty"`
}

// CatRequest names a range of a video.
type CatRequest struct {
	Ref    string   `json:"ref"`
	Offset int64    `json:"offset,omitempty"`
	Length int64    `json:"length"` // below 0: to the end
	Peers  []string `json:"peers,omitempty"`
}

// VerifyRequest names videos to read again.
type VerifyRequest struct {
	Refs   []string `json:"refs"`
	Repair bool     `json:"repair,omitempty"` // fetch bad pieces from peers
}

// VerifyResult has one entry a video, in the order asked for.
type VerifyResult struct {
	Videos []Verified `json:"videos"`
}

// Verified is the outcome for one video.
type Verified struct {
	CID      string   `json:"cid"`
	Name     string   `json:"name"`
	OK       bool     `json:"ok"`
	Bytes    int64    `json:"bytes"` // read and right
	Bad      []Damage `json:"bad"`
	Repaired int      `json:"repaired,omitempty"` // pieces
	Error    *Error   `json:"error,omitempty"`    // it could not be read at all
}

// Damage is a range of a file that does not hold what it should.
type Damage struct {
	Path   string `json:"path"`
	Block  int    `json:"block"`
	Piece  int    `json:"piece"`
	Offset int64  `json:"offset"` // in the file
	Length int64  `json:"length"`
	Reason string `json:"reason"`
}

// RemoveRequest names a video to forget.
type RemoveRequest struct {
	Ref   string `json:"ref"`
	Files bool   `json:"files,omitempty"` // delete its files too
}

// Freed says what a removal or collection gave back.
type Freed struct {
	CID        string   `json:"cid,omitempty"`
	Name       string   `json:"name,omitempty"`
	IndexItems int      `json:"index_items"`
	Bytes      int64    `json:"bytes"` // of files deleted and index space
	Files      []string `json:"files"` // deleted
	Kept       []string `json:"kept"`  // files left where they are
}

// TranscribeRequest names a video, or a media file by its absolute path.
type TranscribeRequest struct {
	Ref      string `json:"ref"`
	Engine   string `json:"engine,omitempty"`
	Language string `json:"language,omitempty"`
}

// TranscriptRequest asks for the text of a transcript.
type TranscriptRequest struct {
	Ref    string `json:"ref"`
	Format string `json:"format"` // srt, vtt, txt or json
}
