package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/hook"
	"github.com/vidsync/vidsync/manifest"
)

var errTest = errors.New("refused for a test")

// receiver is a sender that refuses the videos that it is told to.
type receiver struct {
	mu      sync.Mutex
	refuse  map[string]bool
	tried   []hookEvent
	taken   []hookEvent
	changed chan struct{}
}

func newReceiver() *receiver {
	return &receiver{refuse: map[string]bool{}, changed: make(chan struct{}, 1000)}
}

func (r *receiver) Close()         {}
func (r *receiver) String() string { return "a test" }

func (r *receiver) Send(_ context.Context, m hook.Message) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() { r.changed <- struct{}{} }()
	e, err := decodeHookEvent(m.Body)
	if err != nil || e.ID != m.ID {
		return errors.New("message is not the event")
	}
	r.tried = append(r.tried, e)
	if r.refuse[e.CID] {
		return &hook.Failure{Err: errTest}
	}
	r.taken = append(r.taken, e)
	return nil
}

func (r *receiver) setRefuse(video string, refuse bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuse[video] = refuse
}

// await waits until holds says yes.
func (r *receiver) await(t *testing.T, holds func() bool) {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		r.mu.Lock()
		ok := holds()
		r.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-r.changed:
		case <-limit:
			t.Fatalf("waited in vain; tried %d, taken %d", len(r.tried), len(r.taken))
		}
	}
}

func rulesFor(s sender) hookRules {
	r := hookRules{events: map[string]bool{}, senders: map[string]sender{hookWebhook: s}, safe: 1}
	for _, e := range hookEvents {
		r.events[e] = true
	}
	return r
}

func openStore(t *testing.T, dir string) *blockstore.Store {
	t.Helper()
	s, err := blockstore.Open(dir, blockstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func openQueue(t *testing.T, s *blockstore.Store, rules hookRules) *hookQueue {
	t.Helper()
	h, err := openHookQueue(s, "node", rules, true, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// runQueue sends until the returned function is called.
func runQueue(t *testing.T, h *hookQueue) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- h.run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("run ended with %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func videoOf(t *testing.T, text string) string {
	t.Helper()
	m, err := manifest.Split(t.Context(), strings.NewReader(text), int64(len(text)), manifest.SplitConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return m.CID().String()
}

func record(t *testing.T, h *hookQueue, kind, video, reason string) {
	t.Helper()
	if err := h.record(&hookEvent{Type: kind, CID: video, Reason: reason}); err != nil {
		t.Fatal(err)
	}
}

func reasons(events []hookEvent, video string) (out []string) {
	for _, e := range events {
		if e.CID == video {
			out = append(out, e.Reason)
		}
	}
	return out
}

// TestHookOrder: later events of a video wait for one that is refused, those of
// others do not; and nothing is lost or swapped by a restart.
func TestHookOrder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "index")
	store := openStore(t, dir)
	a, b := videoOf(t, "a"), videoOf(t, "b")
	r := newReceiver()
	r.setRefuse(a, true)
	h := openQueue(t, store, rulesFor(r))
	for _, reason := range []string{"1", "2", "3"} {
		record(t, h, hookFailed, a, reason)
		record(t, h, hookFailed, b, reason)
	}
	stop := runQueue(t, h)
	r.await(t, func() bool { return len(reasons(r.taken, b)) == 3 && len(reasons(r.tried, a)) > 0 })
	if got := h.listed(); len(got) != 1 || got[0].Pending < 3 {
		t.Errorf("listed %+v", got)
	}
	stop()
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}

	store = openStore(t, dir)
	h = openQueue(t, store, rulesFor(r))
	record(t, h, hookFailed, a, "4")
	runQueue(t, h)
	r.await(t, func() bool { return len(reasons(r.tried, a)) > 1 })
	r.setRefuse(a, false)
	if err := h.configure(rulesFor(r)); err != nil { // due at once
		t.Fatal(err)
	}
	r.await(t, func() bool { return len(reasons(r.taken, a)) == 4 })
	tried := reasons(r.tried, a)
	if got := reasons(r.taken, a); !slices.Equal(got, []string{"1", "2", "3", "4"}) || !slices.IsSorted(tried) {
		t.Errorf("taken %q of %q", got, tried)
	}
	ids := map[string]string{}
	for _, e := range r.tried {
		if key := e.CID + e.Reason; ids[key] != "" && ids[key] != e.ID || e.Seq != uint64(e.Reason[0]-'0') {
			t.Errorf("event %+v was %s before", e, ids[key])
		} else {
			ids[key] = e.ID
		}
	}
}

// TestHookRecord: what happened is stored with what follows from it, or not at
// all; a mark is told once; and a hook that is gone leaves nothing.
func TestHookRecord(t *testing.T) {
	store := openStore(t, filepath.Join(t.TempDir(), "index"))
	a := videoOf(t, "a")
	h := openQueue(t, store, rulesFor(newReceiver()))
	bad := blockstore.ForgetState("BAD", "")
	if err := h.record(&hookEvent{Type: hookSafe, CID: a, mark: "x"}, bad); err == nil || h.listed()[0].Pending != 0 {
		t.Errorf("error %v, %+v", err, h.listed())
	}
	for _, mark := range []string{"x", "x", "y"} {
		if err := h.record(&hookEvent{Type: hookSafe, CID: a, mark: mark}, blockstore.StoreState("fact", mark, nil)); err != nil {
			t.Fatal(err)
		}
	}
	if got := h.listed(); got[0].Pending != 2 || got[0].State != hookWaiting {
		t.Errorf("listed %+v", got)
	}
	if _, err := store.State("fact", "y"); err != nil {
		t.Error(err)
	}
	if err := h.configure(hookRules{}); err != nil {
		t.Fatal(err)
	}
	record(t, h, hookSafe, a, "nobody is told")
	for s := range store.States(stateHook, "") {
		t.Errorf("left %s", s.Key)
	}
	if got := h.listed(); len(got) != 0 {
		t.Errorf("listed %+v", got)
	}
}

// TestHookFull: an event for which there is no room is lost, and its number tells.
func TestHookFull(t *testing.T) {
	store := openStore(t, filepath.Join(t.TempDir(), "index"))
	a := videoOf(t, "a")
	r := newReceiver()
	h := openQueue(t, store, rulesFor(r))
	h.targets[hookWebhook].pending = maxHookPending
	record(t, h, hookFailed, a, "lost")
	h.targets[hookWebhook].pending = 0
	record(t, h, hookFailed, a, "kept")
	runQueue(t, h)
	r.await(t, func() bool { return len(r.taken) == 1 })
	if e := r.taken[0]; e.Seq != 2 || e.Reason != "kept" || h.listed()[0].Lost != 1 {
		t.Errorf("%+v, %+v", e, h.listed())
	}
}

// TestHookPauses goes by a clock of its own.
func TestHookPauses(t *testing.T) {
	now := time.Now()
	target := newHookTarget("x")
	target.push("a", hookItem{1, now})
	target.push("b", hookItem{2, now})
	try := func(want string) {
		t.Helper()
		if got, wait := target.due(now); got != want {
			t.Fatalf("%q is due, want %q (wait %v)", got, want, wait)
		}
	}
	try("a")
	target.failed("a", now, &hook.Failure{Err: errTest}) // its own trouble
	try("b")
	target.failed("b", now, &hook.Failure{Unreachable: true, Err: errTest}) // everybody's
	try("")
	now = now.Add(2 * hookRetryFirst)
	try("a")
	target.failed("a", now, &hook.Failure{Unreachable: true, Err: errTest, After: time.Hour})
	now = now.Add(time.Hour - time.Second)
	try("")
	target.hurry()
	try("a")
	for range hookTries {
		if target.failed("a", now, &hook.Failure{Err: errTest}) {
			t.Fatal("given up too early")
		}
		if pause := target.lanes["a"].pause.until.Sub(now); pause > 2*hookRetryLast {
			t.Errorf("pause of %v", pause)
		}
	}
	now = now.Add(hookLifetime)
	if !target.failed("a", now, &hook.Failure{Err: errTest}) {
		t.Error("not given up")
	}
	if !target.failed("b", now.Add(-hookLifetime), &hook.Failure{Gone: true, Err: errTest}) {
		t.Error("told again though it is not wanted")
	}
	target.hurry()
	if target.failed("b", now, &hook.Failure{Err: errTest}) {
		t.Error("given up for the clock alone")
	}
}

func TestHookConfig(t *testing.T) {
	for want, c := range map[string]HookConfig{
		"hooks.events: no event is named \"arived\"": {Command: []string{"true"}, Events: []string{"arived"}},
		"hooks.url: ":                     {URL: "example.org"},
		"hooks.command: ":                 {Command: []string{"./hook"}},
		"hooks.secret-file: there is no":  {SecretFile: "/etc/secret"},
		"hooks.secret-file: open /nowher": {URL: "https://example.org", SecretFile: "/nowhere/secret"},
	} {
		if _, err := c.parse("1", true); err == nil || !strings.HasPrefix(err.Error(), want) || api.CodeOf(err) != api.CodeUsage {
			t.Errorf("%v, want %q", err, want)
		}
	}
	r, err := HookConfig{}.parse("1", true)
	if err != nil || len(r.events) != 0 || len(r.senders) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestHookEventSize: whatever a video and its files are called, an event fits.
func TestHookEventSize(t *testing.T) {
	long := strings.Repeat("\xff", 4096)
	e := hookEvent{
		ID: newHookID(), Type: hookTranscript, CID: videoOf(t, "a"), Name: long, Path: long, Reason: long,
		Transcript: &api.Transcript{State: "done", Message: long, Files: slices.Repeat([]string{long}, 4)},
		Holders:    slices.Repeat([]hookHolder{{PeerID: "p", Name: long}}, 1000),
	}
	data, err := e.encode()
	if err != nil || len(data) > blockstore.MaxStateValue {
		t.Fatalf("%d bytes, %v", len(data), err)
	}
	if got, err := decodeHookEvent(data); err != nil || !got.Truncated || got.Transcript.State != "done" {
		t.Errorf("%+v, %v", got, err)
	}
}

func FuzzDecodeHookEvent(f *testing.F) {
	f.Add([]byte(`{"id":"evt_1","type":"arrived","seq":1,"cid":"bafyr4icnc6eyqtuwp2wnrdjzcpzaaxpcfufdjz3rvxbcd6l3zdttssbbby"}`))
	f.Add([]byte(`{"id":"evt 1","type":"arrived"}`))
	f.Add([]byte(`{"type":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := decodeHookEvent(data)
		if err != nil {
			return
		}
		again, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeHookEvent(again); err != nil || strings.ContainsAny(e.ID, " \r\n") {
			t.Errorf("%q: %v", again, err)
		}
	})
}
