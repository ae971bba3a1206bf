package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// arrivals notes when bytes arrive.
type arrivals struct {
	started time.Time
	first   time.Duration
	last    time.Duration
	data    []byte
}

func (a *arrivals) Write(p []byte) (int, error) {
	a.last = time.Since(a.started)
	if a.data == nil {
		a.first = a.last
	}
	a.data = append(a.data, p...)
	return len(p), nil
}

func TestLaneHasRateAndDelay(t *testing.T) {
	for _, c := range []struct {
		name        string
		size        int
		rate        float64
		delay       time.Duration
		first, last time.Duration
	}{
		{"slow", 1 << 20, 1 << 20, 0, time.Second / 64, time.Second},
		{"far", 1 << 20, 1 << 20, 200 * time.Millisecond, time.Second/64 + 200*time.Millisecond, 1200 * time.Millisecond},
		{"one byte", 1, 1 << 20, 50 * time.Millisecond, 50 * time.Millisecond, 50 * time.Millisecond},
		{"fast and far", 8 << 20, 64 << 20, time.Second, time.Second, 1125 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sent := bytes.Repeat([]byte("video"), c.size/5+1)[:c.size]
				l := &lane{bytesPerSecond: c.rate, delay: c.delay}
				got := &arrivals{started: time.Now()}
				if err := l.carry(t.Context(), got, bytes.NewReader(sent)); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got.data, sent) {
					t.Errorf("%d bytes arrived, not as they were sent", len(got.data))
				}
				near(t, "first byte", got.first, c.first)
				near(t, "last byte", got.last, c.last)
			})
		})
	}
}

func near(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if diff := (got - want).Abs(); diff > time.Millisecond {
		t.Errorf("%s after %v, want %v", what, got, want)
	}
}

// A lane does not take more than it can hold, however much is offered.
func TestLaneHoldsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		endless := &countingReader{}
		l := &lane{bytesPerSecond: 1 << 20, delay: 100 * time.Millisecond}
		if err := l.carry(ctx, io.Discard, endless); err != context.DeadlineExceeded {
			t.Errorf("carry ended with %v", err)
		}
		if most := 1<<20 + 3*chunkBytes; endless.n > most {
			t.Errorf("took %d bytes in a second, want at most %d", endless.n, most)
		}
	})
}

type countingReader struct{ n int }

func (r *countingReader) Read(p []byte) (int, error) {
	r.n += len(p)
	return len(p), nil
}

// A lost packet costs one more round trip, and nothing overtakes it.
func TestLaneLoss(t *testing.T) {
	l := &lane{bytesPerSecond: 1e6, delay: 50 * time.Millisecond, loss: 1}
	start := time.Now()
	_, lost := l.pass(start, 1000)
	near(t, "lost packet", lost.Sub(start), 151*time.Millisecond)
	l.loss = 0
	_, next := l.pass(start, 1000)
	if next.Before(lost) {
		t.Errorf("what was sent after a lost packet arrives %v before it", lost.Sub(next))
	}
	_, later := l.pass(start.Add(time.Second), 1000)
	near(t, "long after", later.Sub(start), 1051*time.Millisecond)
}

func TestLinkPassesConnectionsOn(t *testing.T) {
	echo := listen(t)
	wire := listen(t)
	ctx, cancel := context.WithCancel(context.Background())
	var servers sync.WaitGroup
	defer servers.Wait()
	defer cancel()
	servers.Go(func() { echoOnce(t, echo) })
	servers.Go(func() {
		if err := newLink(1e9, time.Millisecond, 0).serve(ctx, wire, echo.Addr().String()); err != context.Canceled {
			t.Errorf("link ended with %v", err)
		}
	})
	conn, err := net.Dial("tcp", wire.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sent := bytes.Repeat([]byte{1, 2, 3}, 100_000)
	servers.Go(func() {
		if _, err := conn.Write(sent); err != nil {
			t.Error(err)
		}
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Error(err)
		}
	})
	got, err := io.ReadAll(conn)
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d of %d bytes came back, error %v", len(got), len(sent), err)
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func echoOnce(t *testing.T, l net.Listener) {
	conn, err := l.Accept()
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	if _, err := io.Copy(conn, conn); err != nil {
		t.Error(err)
	}
}
