package daemon

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/vidsync/vidsync/api"
)

const (
	maxHookBody    = 16 << 10 // of an event in bytes
	maxHookText    = 1 << 10  // of a name or reason in bytes
	maxHookHolders = 32
)

// hookEvent is something that happened to a video, as hooks are told it. It is
// stored as it is sent.
type hookEvent struct {
	ID        string    `json:"id"` // the same at every attempt
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Seq       uint64    `json:"seq"`  // of the video's events, from 1
	Node      string    `json:"node"` // peer ID
	CID       string    `json:"cid"`
	Name      string    `json:"name,omitempty"`
	Size      int64     `json:"size,omitempty"`
	Path      string    `json:"path,omitempty"` // of the video

	PeerID     string          `json:"peer_id,omitempty"` // followed, who led to the video
	PeerName   string          `json:"peer_name,omitempty"`
	Transcript *api.Transcript `json:"transcript,omitempty"`
	Holders    []hookHolder    `json:"holders,omitempty"`
	Job        string          `json:"job,omitempty"` // kind of what failed
	Reason     string          `json:"reason,omitempty"`
	Attempts   int             `json:"attempts,omitempty"`
	Truncated  bool            `json:"truncated,omitempty"` // paths were too long

	// mark names what happened, if it might be found out twice: it is told once.
	mark string
}

// hookHolder is a trusted peer that has signed that it holds a video.
type hookHolder struct {
	PeerID string `json:"peer_id"`
	Name   string `json:"name,omitempty"`
}

// newHookID is 128 random bits.
func newHookID() string { return "evt_" + rand.Text() }

// encode gives at most maxHookBody bytes: what is too long is cut or left out.
func (e hookEvent) encode() ([]byte, error) {
	e.Name, e.PeerName, e.Reason = cutText(e.Name), cutText(e.PeerName), cutText(e.Reason)
	e.Holders = slices.Clone(e.Holders[:min(len(e.Holders), maxHookHolders)])
	for i := range e.Holders {
		e.Holders[i].Name = cutText(e.Holders[i].Name)
	}
	data, err := json.Marshal(e)
	if err != nil || len(data) <= maxHookBody {
		return data, err
	}
	e.Path, e.Holders, e.Truncated = "", nil, true
	if e.Transcript != nil {
		t := *e.Transcript
		t.Files, t.Message = []string{}, cutText(t.Message)
		e.Transcript = &t
	}
	return json.Marshal(e)
}

func cutText(text string) string {
	if len(text) <= maxHookText {
		return text
	}
	return strings.ToValidUTF8(text[:maxHookText], "")
}

// decodeHookEvent reads a stored event. It must be one that can be sent.
func decodeHookEvent(data []byte) (e hookEvent, err error) {
	if err := json.Unmarshal(data, &e); err != nil {
		return e, fmt.Errorf("stored event: %w", err)
	}
	if _, err := cid.Decode(e.CID); err != nil {
		return e, fmt.Errorf("stored event of %.100q: %w", e.CID, err)
	}
	plain := func(r rune) bool { return r != '_' && (r < '0' || r > 'z') }
	if e.ID == "" || strings.ContainsFunc(e.ID, plain) || !slices.Contains(hookEvents, e.Type) {
		return e, errors.New("stored event without a right ID and type")
	}
	return e, nil
}

// vars are what a command finds in its environment. None has the name of a
// variable that sets a flag of vidsync.
func (e hookEvent) vars() []string {
	return []string{
		"VIDSYNC_EVENT=" + e.Type, "VIDSYNC_EVENT_ID=" + e.ID, "VIDSYNC_EVENT_SEQ=" + strconv.FormatUint(e.Seq, 10),
		"VIDSYNC_EVENT_CID=" + e.CID, "VIDSYNC_EVENT_NAME=" + e.Name, "VIDSYNC_EVENT_PATH=" + e.Path,
		"VIDSYNC_EVENT_REASON=" + e.Reason,
	}
}
