package watch_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vidsync/vidsync/watch"
)

// session is one Run over a folder with what it told.
type session struct {
	t      *testing.T
	dir    string
	ledger *ledger
	cancel context.CancelFunc
	ended  sync.WaitGroup
	log    *logBuffer

	mu     sync.Mutex
	events []watch.Event
	handle func(context.Context, watch.Event) error // before the ledger is told
}

// logBuffer is a text that several goroutines write.
type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *logBuffer) count(part string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Count(b.b.String(), part)
}

// offBeat keeps what Run does at full seconds of its clock apart from what a
// test does at full seconds of its own.
const offBeat = 37 * time.Millisecond

// begin runs over cfg.Dir until the test ends or s.stop is called. setUp may
// change the session and the folder before.
func begin(t *testing.T, cfg watch.Config, l *ledger, setUp ...func(*session, *watch.Folder)) *session {
	t.Helper()
	s := &session{t: t, dir: cfg.Dir, ledger: l, log: &logBuffer{}}
	cfg.Logger = slog.New(slog.NewTextHandler(s.log, nil))
	f, err := watch.New(cfg, l)
	if err != nil {
		t.Fatal(err)
	}
	for _, do := range setUp {
		do(s, f)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s.cancel = cancel
	s.ended.Go(func() {
		time.Sleep(offBeat)
		if err := f.Run(ctx, s.take); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(s.stop)
	return s
}

func passOnly(_ *session, f *watch.Folder) { f.PassOnly() }

func (s *session) stop() {
	s.cancel()
	s.ended.Wait()
}

func (s *session) take(ctx context.Context, e watch.Event) error {
	s.mu.Lock()
	s.events = append(s.events, e)
	handle := s.handle
	s.mu.Unlock()
	if handle != nil {
		if err := handle(ctx, e); err != nil {
			return err
		}
	}
	s.ledger.note(e)
	return nil
}

// lines returns what was told since the last time, in short.
func (s *session) lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lines []string
	for _, e := range s.events {
		lines = append(lines, line(s.dir, e))
	}
	s.events = nil
	return lines
}

func (s *session) lastEvent() watch.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.events[len(s.events)-1]
}

// want waits until exactly these events were told, whatever their order. It is
// for tests with the system's own notices and clock.
func (s *session) want(want ...string) {
	s.t.Helper()
	slices.Sort(want)
	var got []string
	for range 200 {
		got = append(got, s.lines()...)
		slices.Sort(got)
		if slices.Equal(got, want) {
			return
		}
		if len(got) > len(want) {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	equalLines(s.t, got, want...)
	s.t.FailNow()
}

// wantNothing makes sure that nothing is told for a while.
func (s *session) wantNothing(d time.Duration) {
	s.t.Helper()
	time.Sleep(d)
	equalLines(s.t, s.lines())
}
