package api

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

const (
	// maxQueued is how many events wait for a slow reader. Beyond it the
	// oldest are dropped: the newest progress is the one that counts, and a
	// reader must never hold up the work.
	maxQueued = 1024
	// streamWriteTimeout is how long one write may wait for a reader that
	// takes nothing before he counts as gone. Long, because a command that
	// its user stopped with ^Z reads nothing either.
	streamWriteTimeout = 2 * time.Minute
)

// eventStream sends events to one client. The node's goroutine queues them
// and never waits; write, in a goroutine of its own, sends them.
type eventStream struct {
	w         http.ResponseWriter
	heartbeat time.Duration
	wake      chan struct{} // holds one: something was queued, or the end

	mu    sync.Mutex
	queue [][]byte // encoded events
	ended bool
}

// serveEvents runs a node's method as a stream: what it emits under the name
// given, then its result or error. The context that run gets ends when the
// client is gone. serveEvents returns after run did.
func serveEvents[E, R any](w http.ResponseWriter, r *http.Request, cfg HandlerConfig, name string, run func(context.Context, func(E)) (R, error)) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	s := &eventStream{w: w, heartbeat: cfg.Heartbeat, wake: make(chan struct{}, 1)}
	var writer sync.WaitGroup
	writer.Go(func() { s.write(cancel) })
	defer func() { // also when run panics
		s.end()
		writer.Wait()
	}()
	result, err := run(ctx, func(e E) {
		if data, err := json.Marshal(e); err == nil { // else a number no JSON can say: skip this one
			s.queueEvent(name, data)
		}
	})
	s.finish(result, err)
}

// finish queues the one event that ends the stream.
func (s *eventStream) finish(result any, err error) {
	if err == nil {
		var data []byte
		if data, err = json.Marshal(result); err == nil {
			s.queueEvent(eventResult, data)
			return
		}
	}
	data, err := json.Marshal(failure(err))
	if err != nil {
		panic("api: internal error: an Error does not encode: " + err.Error())
	}
	s.queueEvent(eventError, data)
}

func (s *eventStream) queueEvent(name string, data []byte) {
	event := appendEvent(nil, name, data)
	s.mu.Lock()
	if len(s.queue) >= maxQueued {
		s.queue = s.queue[1:]
	}
	s.queue = append(s.queue, event)
	s.mu.Unlock()
	s.signal()
}

// end lets write return once the queue is empty.
func (s *eventStream) end() {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	s.signal()
}

func (s *eventStream) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// take empties the queue.
func (s *eventStream) take() (events [][]byte, ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	events, s.queue = s.queue, nil
	return events, s.ended
}

// write sends the header, then what is queued, until the end. In silence it
// sends heartbeats, so that a dead connection shows. If the client is gone it
// calls gone and returns.
func (s *eventStream) write(gone func()) {
	s.w.Header().Set("Content-Type", "text/event-stream")
	s.w.Header().Set("Cache-Control", "no-store")
	s.w.Header().Set("X-Content-Type-Options", "nosniff")
	silence := time.NewTicker(s.heartbeat)
	defer silence.Stop()
	events, ended := [][]byte{heartbeat}, false
	for {
		if err := s.send(events); err != nil {
			gone()
			return
		}
		if ended {
			return
		}
		select {
		case <-s.wake:
			silence.Reset(s.heartbeat)
			events, ended = s.take()
		case <-silence.C:
			events = [][]byte{heartbeat}
		}
	}
}

// send writes events out to the connection.
func (s *eventStream) send(events [][]byte) error {
	conn := http.NewResponseController(s.w)
	// Not every ResponseWriter has deadlines; without, writes just wait.
	_ = conn.SetWriteDeadline(time.Now().Add(streamWriteTimeout))
	for _, e := range events {
		if _, err := s.w.Write(e); err != nil {
			return err
		}
	}
	if err := conn.Flush(); err != nil {
		return err
	}
	_ = conn.SetWriteDeadline(time.Time{})
	return nil
}
