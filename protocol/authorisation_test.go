package protocol_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/vidsync/vidsync/protocol"
)

// gate is an Authorizer that can change its mind.
type gate struct {
	mu     sync.Mutex
	until  time.Time
	banned peer.ID
	asked  int
	hook   func() // runs in each call, while others may call
}

func (g *gate) set(edit func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	edit()
}

func (g *gate) calls() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.asked
}

func (g *gate) Authorize(p peer.ID, _ cid.Cid, _ []byte) (time.Time, error) {
	g.mu.Lock()
	g.asked++
	until, refused, hook := g.until, p == g.banned, g.hook
	g.mu.Unlock()
	if hook != nil {
		hook()
	}
	if refused {
		return time.Time{}, fs.ErrPermission
	}
	return until, nil
}

func TestPermissionThatEnds(t *testing.T) {
	v := smallVideo(t)
	onEachTransport(t, func(t *testing.T, transport string) {
		server, client := newHosts(t, transport)
		end := time.Now().Add(2 * time.Second)
		lib := newLibrary(v)
		serve(t, server, protocol.ServerConfig{Library: lib, Authorizer: &gate{until: end}})
		s := openRaw(t, client, server.ID(), protocol.PiecesID)
		openedPieces(t, s, v)
		r := run(t, client, server.ID(), v.manifest, protocol.ClientConfig{})
		// QUIC may tell that a stream was reset before it tells why.
		ended := func(err error) bool {
			return errors.Is(err, protocol.ErrRefused) || transport == "quic" && errors.Is(err, protocol.ErrClosed)
		}
		if err := r.wait(); !ended(err) {
			t.Errorf("run ended with %v", err)
		}
		if time.Now().Before(end) {
			t.Error("the streams ended early")
		}
		if _, _, _, err := r.Get(t.Context(), 0, 0); !ended(err) {
			t.Errorf("get: %v", err)
		}
		_, err := io.ReadAll(s)
		if reset, ok := errors.AsType[*network.StreamError](err); !ok || !reset.Remote || reset.ErrorCode != 0x10002 {
			t.Errorf("raw stream ended with %v", err)
		}
	})
}

// Of two peers that have streams, the one that is refused now loses them.
func TestReauthorize(t *testing.T) {
	v := smallVideo(t)
	server, client := newHosts(t, "tcp")
	second := newHost(t, "tcp")
	connect(t, second, server)
	g := new(gate)
	s, _ := start(t, server, protocol.ServerConfig{Library: newLibrary(v), Authorizer: g})
	kept := run(t, client, server.ID(), v.manifest, protocol.ClientConfig{})
	ended := run(t, second, server.ID(), v.manifest, protocol.ClientConfig{})
	for _, r := range []*running{kept, ended} {
		eventually(t, "holdings", func() bool { return r.updates() == 2 })
		for range 4 { // on both data streams
			if err := checkPiece(t.Context(), r.Remote, v, 0, 1); err != nil {
				t.Fatal(err)
			}
		}
	}
	eventually(t, "all streams are open", func() bool { return g.calls() == 6 })
	g.set(func() { g.banned, g.asked = second.ID(), 0 })
	s.Reauthorize()
	if n := g.calls(); n != 2 {
		t.Errorf("asked %d times about 6 streams of 2 peers", n)
	}
	if err := ended.wait(); !errors.Is(err, protocol.ErrRefused) {
		t.Errorf("run ended with %v", err)
	}
	if err := checkPiece(t.Context(), kept.Remote, v, 0, 2); err != nil {
		t.Errorf("another peer: %v", err)
	}
	g.set(func() { g.banned = "" })
	again := run(t, second, server.ID(), v.manifest, protocol.ClientConfig{})
	if err := checkPiece(t.Context(), again.Remote, v, 0, 1); err != nil {
		t.Errorf("allowed again: %v", err)
	}
}

// What is said when asked again counts: a permission may get an end, or lose it.
func TestReauthorizeMovesTheEnd(t *testing.T) {
	v := smallVideo(t)
	server, client := newHosts(t, "tcp")
	g := new(gate)
	s, _ := start(t, server, protocol.ServerConfig{Library: newLibrary(v), Authorizer: g})
	r := run(t, client, server.ID(), v.manifest, protocol.ClientConfig{})
	eventually(t, "all streams are open", func() bool { return g.calls() == 3 })
	soon := time.Now().Add(2 * time.Second)
	g.set(func() { g.until = soon })
	s.Reauthorize()
	g.set(func() { g.until = time.Time{} })
	s.Reauthorize()
	time.Sleep(time.Until(soon.Add(300 * time.Millisecond)))
	if err := checkPiece(t.Context(), r.Remote, v, 0, 1); err != nil {
		t.Errorf("after an end that was taken back: %v", err)
	}
	g.set(func() { g.until = time.Now().Add(100 * time.Millisecond) })
	s.Reauthorize()
	if err := r.wait(); !errors.Is(err, protocol.ErrRefused) {
		t.Errorf("run ended with %v", err)
	}
}

// While one answer takes long, others are served.
func TestReauthorizeHoldsNobodyUp(t *testing.T) {
	v := smallVideo(t)
	server, client := newHosts(t, "tcp")
	g := new(gate)
	s, _ := start(t, server, protocol.ServerConfig{Library: newLibrary(v), Authorizer: g})
	r := run(t, client, server.ID(), v.manifest, protocol.ClientConfig{})
	eventually(t, "all streams are open", func() bool { return g.calls() == 3 })
	entered, proceed := make(chan struct{}), make(chan struct{})
	var first atomic.Bool
	g.set(func() {
		g.hook = func() {
			if first.CompareAndSwap(false, true) {
				close(entered)
				<-proceed
			}
		}
	})
	var wg sync.WaitGroup
	wg.Go(s.Reauthorize)
	<-entered
	if err := r.stop(); !errors.Is(err, context.Canceled) { // ends streams that are asked about
		t.Error(err)
	}
	if err := checkPiece(t.Context(), run(t, client, server.ID(), v.manifest, protocol.ClientConfig{}).Remote, v, 0, 1); err != nil {
		t.Error(err)
	}
	close(proceed)
	wg.Wait()
}
