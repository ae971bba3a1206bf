package daemon

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/protocol"
)

// The kinds of state that following leaves in the index.
const (
	stateFollow = "follow"       // key: peer ID; value: followRecord
	stateEntry  = "follow-entry" // key: see entryKey; value: fetchSpec of an entry whose job is not stored yet
)

const (
	maxFollows   = 256 // peers that are followed
	maxGlobs     = 64  // of one follow, or of one watched folder
	maxGlobBytes = 256

	maxFollowChanges = 256       // of one step of the index
	maxFollowBytes   = 512 << 10 // of their values
)

// followRecord is a followed peer as the index keeps it.
type followRecord struct {
	Dir         string    `json:"dir"` // absolute
	Globs       []string  `json:"globs,omitempty"`
	NewestFirst bool      `json:"newest_first,omitempty"`
	Made        time.Time `json:"made"` // tells it from one that was made for the same peer before
	Log         string    `json:"log"`  // of the cursor, hexadecimal
	Seq         uint64    `json:"seq"`
}

func (r followRecord) cursor() protocol.Cursor {
	c := protocol.Cursor{Seq: r.Seq}
	if n, err := hex.Decode(c.Log[:], []byte(r.Log)); err != nil || n != len(c.Log) {
		return protocol.Cursor{} // which starts over
	}
	return c
}

func (r followRecord) at(c protocol.Cursor) followRecord {
	r.Log, r.Seq = hex.EncodeToString(c.Log[:]), c.Seq
	return r
}

func (r followRecord) store(id peer.ID) (blockstore.Change, error) {
	data, err := json.Marshal(r)
	return blockstore.StoreState(stateFollow, id.String(), data), err
}

// wants tells whether an entry is to be fetched. A pattern without a slash is
// for the file's name, another one for the whole path; case does not count.
func (r followRecord) wants(e protocol.Entry) bool {
	if e.Removed || !isKnownState(e.State) || isUnfinished(e.State) && len(recordingIDs(e.Recording)) == 0 {
		return false
	}
	rel := e.RelPath
	if rel == "" {
		rel = e.Name
	}
	return r.wantsPath(rel)
}

func isUnfinished(state string) bool { return state == videoLive || state == videoEnded }

// isKnownState tells whether an entry's state is one that leads to something.
func isKnownState(state string) bool {
	return state == "" || state == videoWhole || isUnfinished(state)
}

func (r followRecord) wantsPath(rel string) bool {
	rel = strings.ToLower(rel)
	return len(r.Globs) == 0 || slices.ContainsFunc(r.Globs, func(glob string) bool {
		text := rel
		if !strings.Contains(glob, "/") {
			text = path.Base(rel)
		}
		ok, err := path.Match(strings.ToLower(glob), text)
		return ok && err == nil
	})
}

func checkGlobs(globs []string) error {
	if len(globs) > maxGlobs {
		return api.Errorf(api.CodeUsage, "%d patterns, at most %d", len(globs), maxGlobs)
	}
	for _, g := range globs {
		if _, err := path.Match(g, ""); err != nil || g == "" || len(g) > maxGlobBytes {
			return api.Errorf(api.CodeUsage, "%.100q is not a pattern such as *.mp4", g)
		}
	}
	return nil
}

// followList is the followed peers. The index is its memory.
type followList struct {
	store   *blockstore.Store
	changed chan struct{} // holds one: peers have come or gone
	fed     chan struct{} // holds one: there are entries whose jobs are not stored
	moved   broadcast     // a catalogue has been followed further

	mu      sync.Mutex        // held while a record is read and written
	trouble map[peer.ID]error // why a catalogue is not followed now
}

func newFollowList(store *blockstore.Store) *followList {
	return &followList{
		store: store, changed: make(chan struct{}, 1), fed: make(chan struct{}, 1), trouble: map[peer.ID]error{},
	}
}

// all are the followed peers.
func (l *followList) all() (map[peer.ID]followRecord, error) {
	records := map[peer.ID]followRecord{}
	for s, err := range l.store.States(stateFollow, "") {
		if err != nil {
			return nil, err
		}
		id, err := peer.Decode(s.Key)
		if err != nil {
			return nil, fmt.Errorf("followed peer %q: %w", s.Key, err)
		}
		var r followRecord
		if err := json.Unmarshal(s.Value, &r); err != nil {
			return nil, fmt.Errorf("followed peer %s: %w", id, err)
		}
		records[id] = r
	}
	return records, nil
}

// get is the record of a followed peer; fs.ErrNotExist if it is none.
func (l *followList) get(id peer.ID) (r followRecord, err error) {
	data, err := l.store.State(stateFollow, id.String())
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	return r, err
}

// put begins to follow a peer, or changes how. A catalogue that other entries
// count of now, or that go elsewhere, is looked at from its beginning.
func (l *followList) put(id peer.ID, r followRecord) (followRecord, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all, err := l.all()
	if err != nil {
		return r, err
	}
	old, known := all[id]
	if !known && len(all) >= maxFollows {
		return r, api.Errorf(api.CodeOther, "%d peers are followed already, which is the most", maxFollows)
	}
	if known && old.Dir == r.Dir && old.NewestFirst == r.NewestFirst && slices.Equal(old.Globs, r.Globs) {
		return old, nil
	}
	r.Made = time.Now().UTC()
	store, err := r.store(id)
	if err == nil {
		err = l.store.Apply(store)
	}
	if err == nil {
		err = l.dropStates(stateEntry, id)
	}
	if err == nil {
		err = l.unwantLive(id, r)
	}
	l.moved.tell()
	notify(l.fed)
	notify(l.changed)
	return r, err
}

// remove stops following a peer.
func (l *followList) remove(id peer.ID) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.store.DropState(stateFollow, id.String()); err != nil {
		return err
	}
	delete(l.trouble, id)
	notify(l.changed)
	return l.dropEntries(id)
}

// dropEntries forgets what a peer's catalogue led to and no job is stored for.
// The caller holds mu.
func (l *followList) dropEntries(id peer.ID) error {
	defer l.moved.tell()
	return errors.Join(l.dropStates(stateEntry, id), l.dropStates(stateLive, id))
}

func (l *followList) dropStates(kind string, id peer.ID) error {
	var changes []blockstore.Change
	for s, err := range l.store.States(kind, id.String()+"/") {
		if err != nil {
			return err
		}
		if changes = append(changes, blockstore.ForgetState(kind, s.Key)); len(changes) < maxFollowChanges {
			continue
		}
		if err := l.store.Apply(changes...); err != nil {
			return err
		}
		changes = nil
	}
	return l.store.Apply(changes...)
}

// unwantLive marks the recordings of a peer that its changed follow does not want
// any more. Those that it wants go on until the catalogue tells of them anew. The
// caller holds mu.
func (l *followList) unwantLive(id peer.ID, r followRecord) error {
	for s, err := range l.store.States(stateLive, id.String()+"/") {
		if err != nil {
			return err
		}
		var live liveRecord
		if err := json.Unmarshal(s.Value, &live); err != nil || live.Spec.Follow == nil || r.wantsPath(live.Spec.Follow.RelPath) {
			continue
		}
		change, err := live.ended(s.Key, false)
		if err == nil {
			err = l.store.Apply(change)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// errFollowChanged ends what follows a catalogue in a way that is not wanted any
// more.
var errFollowChanged = errors.New("follow was changed")

// advance stores what entries lead to, and how far the catalogue has been
// followed then, in one step.
func (l *followList) advance(id peer.ID, made time.Time, next protocol.Cursor, changes []blockstore.Change) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, err := l.get(id)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !r.Made.Equal(made) {
		return errFollowChanged
	}
	if err != nil {
		return err
	}
	cursor, err := r.at(next).store(id)
	if err != nil {
		return err
	}
	defer l.moved.tell()
	return l.store.Apply(append(changes, cursor)...)
}

// tell notes why a catalogue is not followed now; nil if it is.
func (l *followList) tell(id peer.ID, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trouble[id] = err
}

func (l *followList) told(id peer.ID) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.trouble[id]
}

// entryKey puts the entries of a peer that wait in the order in which they go.
func entryKey(spec fetchSpec, video string) string {
	return fmt.Sprintf("%s/%016x/%s", spec.Follow.Peer, uint64(spec.Follow.Order)^1<<63, video)
}

// notify leaves a token in a channel that holds one.
func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
