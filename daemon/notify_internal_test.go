package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vidsync/vidsync/blockstore"
)

// notifySocket listens as systemd does. told gives what has been sent so far.
func notifySocket(t *testing.T) (told func() []string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "vidsync") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	messages := make(chan string, 100)
	var reader sync.WaitGroup
	reader.Go(func() { receive(conn, messages) })
	t.Cleanup(func() { conn.Close(); reader.Wait() })
	t.Setenv("NOTIFY_SOCKET", path)
	return func() []string { return pending(t, messages) }
}

// receive takes messages off the socket, whose queue is short, until it is
// closed.
func receive(conn *net.UnixConn, messages chan<- string) {
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		messages <- string(buf[:n])
	}
}

// pending sends a message of its own, and gives those before it.
func pending(t *testing.T, messages <-chan string) (before []string) {
	t.Helper()
	if err := notifySystemd("END"); err != nil {
		t.Fatal(err)
	}
	for {
		m := <-messages
		if m == "END" {
			return before
		}
		before = append(before, m)
	}
}

// offlineNode has a job queue, and no API that would answer.
func offlineNode(t *testing.T, log slog.Handler) *Node {
	n := &Node{log: slog.New(log), jobs: newJobQueue(nil, slog.New(log)), ready: make(chan struct{})}
	n.cfg.Paths.Socket = filepath.Join(t.TempDir(), "vidsync.sock")
	return n
}

// running marks an attempt at a job as begun, as a worker does.
func running(n *Node, id string) *task {
	t := newTask(blockstore.Job{ID: id})
	n.jobs.tasks[id], n.jobs.running[id] = t, func(error) {}
	return t
}

// warnings counts what is logged.
type warnings chan struct{}

func (w warnings) Enabled(context.Context, slog.Level) bool { return true }
func (w warnings) WithAttrs([]slog.Attr) slog.Handler       { return w }
func (w warnings) WithGroup(string) slog.Handler            { return w }
func (w warnings) Handle(ctx context.Context, _ slog.Record) error {
	select {
	case w <- struct{}{}:
	case <-ctx.Done():
	}
	return nil
}

// TestDeadNodeIsNotReady: without an answer of the API systemd hears nothing.
func TestDeadNodeIsNotReady(t *testing.T) {
	told := notifySocket(t)
	t.Setenv("WATCHDOG_USEC", "20000")
	t.Setenv("WATCHDOG_PID", "")
	logged := make(warnings, 100)
	n := offlineNode(t, logged)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.reportToSystemd(ctx) }()
	for range 3 {
		<-logged
	}
	if got := told(); len(got) > 0 {
		t.Errorf("a node that does not answer told %q", got)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	if got := told(); len(got) == 0 || !strings.HasPrefix(got[0], "STOPPING=1\n") {
		t.Errorf("at the end told %q, want STOPPING=1", got)
	}
}

// TestDrainingAsksForTime: as long as a job ends, and no longer than the limit.
func TestDrainingAsksForTime(t *testing.T) {
	const extend = "EXTEND_TIMEOUT_USEC=60000000"
	for _, test := range []struct {
		name   string
		lasts  time.Duration // of the job's end
		took   time.Duration
		extend int
	}{
		{"at once", 0, 0, 2},
		{"long", 50 * time.Second, 50 * time.Second, 4},
		{"for ever", time.Hour, drainLimit, 1 + int((drainLimit-1)/drainStep)},
	} {
		t.Run(test.name, func(t *testing.T) {
			told := notifySocket(t)
			synctest.Test(t, func(t *testing.T) {
				n := offlineNode(t, slog.DiscardHandler)
				job := running(n, "fetch/a")
				timer := time.AfterFunc(test.lasts, func() { close(job.done) })
				begin := time.Now()
				n.reportDraining()
				if took := time.Since(begin); took != test.took {
					t.Errorf("returned after %v, want %v", took, test.took)
				}
				timer.Stop()
			})
			got := told()
			asked := slices.DeleteFunc(slices.Clone(got), func(m string) bool { return !strings.Contains(m, extend) })
			if !strings.HasPrefix(got[0], "STOPPING=1\n") || len(asked) < test.extend {
				t.Errorf("told %q, want STOPPING=1 first and %d of %s", got, test.extend, extend)
			}
		})
	}
}

func TestReloadIsTold(t *testing.T) {
	boom := errors.New("boom")
	for _, want := range []error{nil, boom} {
		told := notifySocket(t)
		n := offlineNode(t, slog.DiscardHandler)
		during := []string{}
		err := n.whileReloading(func() error {
			during = told()
			return want
		})
		if !errors.Is(err, want) {
			t.Errorf("got error %v, want %v", err, want)
		}
		if len(during) != 1 || !strings.HasPrefix(during[0], "RELOADING=1\nMONOTONIC_USEC=") {
			t.Fatalf("during the reload told %q", during)
		}
		_, clock, _ := strings.Cut(strings.Split(during[0], "\n")[1], "=")
		if micros, err := strconv.ParseUint(clock, 10, 64); err != nil || micros == 0 {
			t.Errorf("MONOTONIC_USEC=%s: %v", clock, err)
		}
		if after := told(); len(after) != 1 || !strings.HasPrefix(after[0], "READY=1\n") {
			t.Errorf("after the reload told %q", after)
		}
	}
}

func TestNobodyToTell(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	n := offlineNode(t, slog.DiscardHandler)
	if err := n.reportToSystemd(t.Context()); err != nil {
		t.Errorf("without systemd: %v", err)
	}
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "gone"))
	if err := notifySystemd("READY=1"); err == nil {
		t.Error("a socket that is gone gave no error")
	}
}

func TestWatchdogTimeout(t *testing.T) {
	own := strconv.Itoa(os.Getpid())
	for _, test := range []struct {
		usec, pid string
		want      time.Duration
	}{
		{"", "", 0},
		{"30000000", "", 30 * time.Second},
		{"30000000", own, 30 * time.Second},
		{"30000000", "1", 0},
		{"-1", own, 0},
		{"soon", own, 0},
		{"18446744073709551615", own, 0},
	} {
		t.Setenv("WATCHDOG_USEC", test.usec)
		t.Setenv("WATCHDOG_PID", test.pid)
		if got := watchdogTimeout(); got != test.want {
			t.Errorf("WATCHDOG_USEC=%q WATCHDOG_PID=%q: %v, want %v", test.usec, test.pid, got, test.want)
		}
	}
}
