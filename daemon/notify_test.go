package daemon_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/daemon"
)

// serviceManager is the socket on which systemd listens to its services.
type serviceManager struct{ conn *net.UnixConn }

func newServiceManager(t *testing.T) *serviceManager {
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
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return &serviceManager{conn}
}

// next is the next message, as its lines.
func (s *serviceManager) next(t *testing.T) []string {
	t.Helper()
	if err := s.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, err := s.conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(buf[:n]), "\n")
}

func TestSystemdIsTold(t *testing.T) {
	manager := newServiceManager(t)
	t.Setenv("WATCHDOG_USEC", "200000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	n := startNode(t, func(c *daemon.Config) { c.Serve = true })

	first := manager.next(t)
	if first[0] != "READY=1" || !strings.HasPrefix(first[1], "STATUS=Ready: 0 peers") {
		t.Fatalf("first told %q, want READY=1 and a status", first)
	}
	if _, err := api.NewClient(paths(n.home).Socket).Ping(t.Context()); err != nil {
		t.Errorf("told to be ready, but: %v", err)
	}
	for range 2 {
		if got := manager.next(t); got[0] != "WATCHDOG=1" || len(got) != 2 {
			t.Fatalf("told %q, want WATCHDOG=1 and a status", got)
		}
	}

	n.stop()
	got := manager.next(t)
	for got[0] == "WATCHDOG=1" {
		got = manager.next(t)
	}
	if got[0] != "STOPPING=1" {
		t.Errorf("told %q, want STOPPING=1", got)
	}
}
