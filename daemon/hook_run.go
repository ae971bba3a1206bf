package daemon

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"time"

	"github.com/vidsync/vidsync/hook"
)

var errHookGone = errors.New("event is not in the index any more")

// delivery is one attempt to tell a hook of an event.
type delivery struct {
	target *hookTarget
	sender sender
	video  string
	item   hookItem
}

func (d delivery) key() string { return hookKey(d.target.name, d.item.number) }

// run tells hooks of events until ctx ends.
func (h *hookQueue) run(ctx context.Context) error {
	var sending sync.WaitGroup
	defer h.close()
	defer sending.Wait()
	for {
		d, wait, changed := h.take(time.Now())
		if d != nil {
			sending.Go(func() { h.deliver(ctx, *d) })
			continue
		}
		var timer <-chan time.Time
		if wait >= 0 {
			timer = time.After(wait)
		}
		select {
		case <-changed:
		case <-timer:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (h *hookQueue) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.rules.senders {
		s.Close()
	}
}

// take is the next delivery that is due. If there is none it is nil, and wait is
// how long until there will be one; below 0: until changed is closed.
func (h *hookQueue) take(now time.Time) (d *delivery, wait time.Duration, changed <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	wait = -1
	for _, t := range h.targets {
		video, pause := t.due(now)
		if video != "" {
			l := t.lanes[video]
			l.busy = true
			t.running++
			return &delivery{t, t.sender, video, l.waiting[0]}, 0, nil
		}
		if pause >= 0 && (wait < 0 || pause < wait) {
			wait = pause
		}
	}
	return nil, wait, h.changed
}

// deliver tries once.
func (h *hookQueue) deliver(ctx context.Context, d delivery) {
	body, err := h.store.State(stateHook, d.key())
	if errors.Is(err, fs.ErrNotExist) {
		err = errHookGone
	}
	var e hookEvent
	if err == nil {
		e, err = decodeHookEvent(body)
	}
	if err == nil {
		err = d.sender.Send(ctx, hook.Message{ID: e.ID, Body: body, Vars: e.vars()})
	}
	h.settle(d, err, err != nil && ctx.Err() != nil)
}

// settle notes how an attempt went. One that was cut off, because the node stops,
// counts for nothing.
func (h *hookQueue) settle(d delivery, err error, cut bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	defer h.wake()
	t := d.target
	t.running--
	t.lanes[d.video].busy = false
	if cut || h.targets[t.name] != t {
		return // it goes on later; or nobody is to hear of it any more
	}
	if errors.Is(err, errHookGone) {
		t.pop(d.video)
		return
	}
	if err == nil {
		t.down, t.trouble = hookPause{}, ""
		t.delivered++
		h.drop(d)
		return
	}
	drop := t.failed(d.video, time.Now(), err)
	log := h.log.Info
	if drop {
		log = h.log.Warn
	}
	log("hook was not told of an event", "hook", t.name, "event", d.item.number, "video", d.video, "given_up", drop, "reason", err)
	if drop {
		t.lost++
		h.drop(d)
	}
}

// drop forgets an event that has come to its end. If the index does not take that
// the hook is told once more.
func (h *hookQueue) drop(d delivery) {
	if err := h.store.DropState(stateHook, d.key()); err != nil {
		h.log.Error("forget an event", "key", d.key(), "error", err)
		d.target.lanes[d.video].pause.fail(time.Now(), 0)
		return
	}
	d.target.pop(d.video)
}
