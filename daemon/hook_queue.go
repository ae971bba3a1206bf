package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vidsync/vidsync/blockstore"
)

const (
	// stateHook is the kind of state that is an event which a hook has not been
	// told yet. Its key is HOOK/NUMBER.
	stateHook = "hook"
	// stateHookVideo is the kind of state that is what hooks were told of a video.
	// Its key is the CID.
	stateHookVideo = "hook-video"

	// maxHookPending bounds the events that one hook has not been told yet.
	maxHookPending = 10_000
)

// hookVideo is what is remembered of the events of a video.
type hookVideo struct {
	Seq   uint64            `json:"seq"`             // of the last
	Marks map[string]string `json:"marks,omitempty"` // of the last of each type
}

// hookQueue stores events, in one step with the facts that they tell of, and
// sends them. Without hooks it does neither.
type hookQueue struct {
	store *blockstore.Store
	log   *slog.Logger
	node  string // peer ID

	counting sync.Mutex // held while the holders of a video are counted

	mu      sync.Mutex // also held over writes: events are numbered in the order in which they are stored
	rules   hookRules
	targets map[string]*hookTarget // by name
	next    uint64                 // number of the next record
	changed chan struct{}          // closed, and made anew, when there may be work
}

// openHookQueue takes up the events that were not sent yet. A daemon forgets
// those of hooks that are not configured any more.
func openHookQueue(store *blockstore.Store, node string, rules hookRules, serve bool, log *slog.Logger) (*hookQueue, error) {
	h := &hookQueue{store: store, log: log, node: node, targets: map[string]*hookTarget{}, next: 1, changed: make(chan struct{})}
	h.use(rules)
	var strays []string
	for s, err := range store.States(stateHook, "") {
		if err != nil {
			return nil, fmt.Errorf("read events: %w", err)
		}
		name, number, ok := parseHookKey(s.Key)
		e, err := decodeHookEvent(s.Value)
		if t := h.targets[name]; t != nil && ok && err == nil {
			t.push(e.CID, hookItem{number, e.Timestamp})
		} else {
			strays = append(strays, s.Key)
		}
		h.next = max(h.next, number+1)
	}
	if !serve {
		return h, nil
	}
	return h, h.forget(strays)
}

func hookKey(name string, number uint64) string { return fmt.Sprintf("%s/%016x", name, number) }

func parseHookKey(key string) (name string, number uint64, ok bool) {
	name, digits, _ := strings.Cut(key, "/")
	number, err := strconv.ParseUint(digits, 16, 63)
	return name, number, err == nil && key == hookKey(name, number)
}

// use replaces the rules. It returns the hooks that there are no more. The caller
// holds mu, or is the only one.
func (h *hookQueue) use(rules hookRules) (gone []*hookTarget) {
	h.rules = rules
	for name, s := range rules.senders {
		if h.targets[name] == nil {
			h.targets[name] = newHookTarget(name)
		}
		h.targets[name].sender = s
	}
	for name, t := range h.targets {
		if rules.senders[name] == nil {
			gone = append(gone, t)
			delete(h.targets, name)
		}
	}
	return gone
}

// configure brings other rules into force, and tries everything at once. What a
// hook that there is no more was not told is forgotten.
func (h *hookQueue) configure(rules hookRules) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	old := h.rules.senders
	var strays []string
	for _, t := range h.use(rules) {
		for _, l := range t.lanes {
			for _, item := range l.waiting {
				strays = append(strays, hookKey(t.name, item.number))
			}
		}
	}
	for _, t := range h.targets {
		t.hurry()
	}
	for _, s := range old {
		s.Close()
	}
	h.wake()
	return h.forget(strays)
}

// forget drops events unsent.
func (h *hookQueue) forget(keys []string) error {
	if len(keys) > 0 {
		h.log.Warn("events of hooks that are not configured any more are forgotten", "count", len(keys))
	}
	for len(keys) > 0 {
		n := min(len(keys), blockstore.MaxChanges)
		var changes []blockstore.Change
		for _, key := range keys[:n] {
			changes = append(changes, blockstore.ForgetState(stateHook, key))
		}
		if err := h.store.Apply(changes...); err != nil {
			return err
		}
		keys = keys[n:]
	}
	return nil
}

// wake lets run look again. The caller holds mu.
func (h *hookQueue) wake() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// wants tells whether a hook is to hear of a type of events.
func (h *hookQueue) wants(kind string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.rules.events[kind]
}

// record makes changes and, in one step with them, stores the event that they
// are, for every hook. e is nil if they are none that a hook is to hear of.
func (h *hookQueue) record(e *hookEvent, changes ...blockstore.Change) error {
	if e == nil {
		return h.store.Apply(changes...)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	told, err := h.told(e.CID)
	if err != nil {
		return err
	}
	if !h.rules.events[e.Type] || e.mark != "" && told.Marks[e.Type] == e.mark {
		return h.store.Apply(changes...)
	}
	told.Seq++
	if e.mark != "" {
		told.Marks[e.Type] = e.mark
	}
	e.ID, e.Seq, e.Node, e.Timestamp = newHookID(), told.Seq, h.node, time.Now().UTC()
	return h.put(*e, told, changes)
}

// put stores an event that has its number. The caller holds mu.
func (h *hookQueue) put(e hookEvent, told hookVideo, changes []blockstore.Change) error {
	body, err := e.encode()
	if err != nil {
		return err
	}
	memory, err := json.Marshal(told)
	if err != nil {
		return err
	}
	changes = append(changes, blockstore.StoreState(stateHookVideo, e.CID, memory))
	var takers []*hookTarget
	for _, t := range h.targets {
		if t.pending >= maxHookPending {
			h.refuse(t, e)
			continue
		}
		takers = append(takers, t)
		changes = append(changes, blockstore.StoreState(stateHook, hookKey(t.name, h.next), body))
	}
	if err := h.store.Apply(changes...); err != nil {
		return err
	}
	for _, t := range takers {
		t.push(e.CID, hookItem{h.next, e.Timestamp})
	}
	h.next++
	h.wake()
	return nil
}

// refuse counts an event for which there is no room. The log tells of the first.
func (h *hookQueue) refuse(t *hookTarget, e hookEvent) {
	t.lost++
	if !t.full {
		h.log.Error("events for a hook are lost: it has too many that were not taken", "hook", t.name, "limit", maxHookPending, "event", e.Type, "video", e.CID)
	}
	t.full = true
}

// told is what hooks were told of a video. A record that cannot be read counts as
// none.
func (h *hookQueue) told(video string) (v hookVideo, err error) {
	data, err := h.store.State(stateHookVideo, video)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return v, err
	}
	if err != nil || json.Unmarshal(data, &v) != nil {
		v = hookVideo{}
	}
	if v.Marks == nil {
		v.Marks = map[string]string{}
	}
	return v, nil
}
