package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/vidsync/vidsync/api"
)

const (
	// maxBans bounds how many bans are remembered. The oldest makes room.
	maxBans = 1000
	// banLife is how long a ban lasts.
	banLife = 7 * 24 * time.Hour
)

// ban is one bad piece, or manifest, that a peer delivered. The peer is not asked
// for that video again while the ban lasts.
type ban struct {
	Peer   peer.ID   `json:"peer_id"`
	Video  string    `json:"cid"`
	Block  int       `json:"block"`
	Piece  int       `json:"piece"`
	Time   time.Time `json:"time"`
	Reason string    `json:"reason"`
}

func (b ban) over(now time.Time) bool { return now.Sub(b.Time) > banLife }

// Error is why the peer is banned.
func (b ban) Error() string {
	return fmt.Sprintf("%s (%s, on %s)", b.Reason, b.where(), b.Time.Format(time.RFC1123))
}

func (b ban) listed() *api.Ban {
	return &api.Ban{CID: b.Video, Block: b.Block, Piece: b.Piece, Time: b.Time, Reason: b.Reason}
}

// banList remembers who sent wrong bytes, in a file of its own.
type banList struct {
	path string

	mu   sync.Mutex
	bans []ban // oldest first
}

// openBanList reads the list. One that is damaged counts as empty: it costs a
// bad piece more, and the node should run.
func openBanList(path string, log *slog.Logger) *banList {
	b := &banList{path: path}
	data, err := readSmallFile(path)
	if err == nil {
		err = json.Unmarshal(data, &b.bans)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("list of bans cannot be read and begins anew", "path", path, "error", err)
		b.bans = nil
	}
	return b
}

// add remembers a bad piece. Of each peer the latest of a video counts.
func (b *banList) add(bad ban) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	bans := slices.DeleteFunc(slices.Clone(b.bans), func(old ban) bool {
		return old.over(bad.Time) || old.Peer == bad.Peer && old.Video == bad.Video
	})
	bans = append(bans, bad)
	return b.save(bans[max(0, len(bans)-maxBans):])
}

// forgive lifts the bans of a peer, and tells whether there were any.
func (b *banList) forgive(id peer.ID) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	bans := slices.DeleteFunc(slices.Clone(b.bans), func(old ban) bool { return old.Peer == id })
	if len(bans) == len(b.bans) {
		return false, nil
	}
	return true, b.save(bans)
}

// of is the latest ban of a peer.
func (b *banList) of(id peer.ID, now time.Time) (ban, bool) {
	return b.last(func(old ban) bool { return old.Peer == id && !old.over(now) })
}

// from is why a peer is not asked for a video; nil if it may be.
func (b *banList) from(id peer.ID, video cid.Cid, now time.Time) error {
	found, ok := b.last(func(old ban) bool { return old.Peer == id && old.Video == video.String() && !old.over(now) })
	if !ok {
		return nil
	}
	return found
}

func (b *banList) last(is func(ban) bool) (ban, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, old := range slices.Backward(b.bans) {
		if is(old) {
			return old, true
		}
	}
	return ban{}, false
}

// peers are all that are banned now.
func (b *banList) peers(now time.Time) []peer.ID {
	b.mu.Lock()
	defer b.mu.Unlock()
	var ids []peer.ID
	for _, old := range b.bans {
		if !old.over(now) && !slices.Contains(ids, old.Peer) {
			ids = append(ids, old.Peer)
		}
	}
	return ids
}

// save takes the list over and writes it. What does not fit on a disk counts
// until this process ends. The caller holds mu.
func (b *banList) save(bans []ban) error {
	b.bans = bans
	data, err := json.MarshalIndent(bans, "", "  ")
	if err == nil {
		err = writeSmallFile(b.path, data)
	}
	if err != nil {
		return fmt.Errorf("write list of bans: %w", err)
	}
	return nil
}
