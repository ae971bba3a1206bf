package protocol_test

import (
	"testing"
	"time"

	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol"
)

func TestHoldings(t *testing.T) {
	v := smallVideo(t)
	onEachTransport(t, func(t *testing.T, transport string) {
		lib := newLibrary(v)
		lib.change(func(h *manifest.Holdings) { h.Remove(1, 0b010) })
		server, client := newHosts(t, transport)
		serve(t, server, protocol.ServerConfig{Library: lib})
		r := run(t, client, server.ID(), v.manifest, protocol.ClientConfig{})
		eventually(t, "first holdings", func() bool {
			return r.mask(0) == 1<<32-1 && r.mask(1) == 0b101
		})
		lib.change(func(h *manifest.Holdings) { h.Add(1, 0b010) })
		eventually(t, "a piece more", func() bool { return r.mask(1) == 0b111 })
		lib.change(func(h *manifest.Holdings) { h.Remove(0, 0xffff); h.Remove(1, 0b111) })
		eventually(t, "pieces less", func() bool { return r.mask(0) == 0xffff0000 && r.mask(1) == 0 })
	})
}

func TestHoldingsOfNothing(t *testing.T) {
	lib := newLibrary(smallVideo(t))
	lib.change(func(h *manifest.Holdings) { h.Remove(0, h.FullMask(0)); h.Remove(1, h.FullMask(1)) })
	server, client := newHosts(t, "tcp")
	serve(t, server, protocol.ServerConfig{Library: lib})
	r := run(t, client, server.ID(), lib.manifest, protocol.ClientConfig{})
	lib.change(func(h *manifest.Holdings) { h.Add(0, 1) })
	eventually(t, "first piece", func() bool { return r.mask(0) == 1 })
	if n := r.updates(); n != 1 {
		t.Errorf("%d updates, want 1", n)
	}
}

// What comes back without a word, as a disk does, is found by looking again.
func TestHoldingsThatComeBackInSilence(t *testing.T) {
	lib := newLibrary(smallVideo(t))
	lib.silent = true
	lib.change(func(h *manifest.Holdings) { h.Remove(0, h.FullMask(0)); h.Remove(1, h.FullMask(1)) })
	server, client := newHosts(t, "tcp")
	serve(t, server, protocol.ServerConfig{Library: lib, LookAgainAfter: time.Millisecond})
	r := run(t, client, server.ID(), lib.manifest, protocol.ClientConfig{})
	lib.change(func(h *manifest.Holdings) { h.Add(0, 1) })
	eventually(t, "first piece", func() bool { return r.mask(0) == 1 })
	lib.change(func(h *manifest.Holdings) { h.Add(1, 1) })
	eventually(t, "another one", func() bool { return r.mask(1) == 1 })
}

func TestHoldingsCoalesce(t *testing.T) {
	lib := newLibrary(smallVideo(t))
	lib.change(func(h *manifest.Holdings) { h.Remove(0, h.FullMask(0)) })
	server, client := newHosts(t, "tcp")
	serve(t, server, protocol.ServerConfig{Library: lib})
	r := run(t, client, server.ID(), lib.manifest, protocol.ClientConfig{})
	eventually(t, "first holdings", func() bool { return r.mask(1) == 0b111 })
	start := time.Now()
	for i := range 32 {
		lib.change(func(h *manifest.Holdings) { h.Add(0, 1<<i) })
		time.Sleep(5 * time.Millisecond)
	}
	eventually(t, "all pieces", func() bool { return r.mask(0) == 1<<32-1 })
	most := 2 + int(time.Since(start)/(200*time.Millisecond))
	if n := r.updates() - 1; n > most {
		t.Errorf("%d updates for 32 changes, want at most %d", n, most)
	}
}

// More changed blocks than one message may list arrive in several.
func TestHoldingsOfManyBlocks(t *testing.T) {
	const blocks = 2*protocol.MaxChanges + 100
	v := splitVideo(t, blocks*manifest.BlockSize, nil, func(int64, int64) bool { return true })
	lib := newLibrary(v)
	lib.change(func(h *manifest.Holdings) {
		for i := range blocks {
			h.Remove(i, 1)
		}
	})
	server, client := newHosts(t, "tcp")
	serve(t, server, protocol.ServerConfig{Library: lib})
	r := run(t, client, server.ID(), v.manifest, protocol.ClientConfig{})
	eventually(t, "all blocks", func() bool { return r.updates() == blocks })
	for i := range blocks {
		if got := r.mask(i); got != 1<<32-2 {
			t.Fatalf("mask of block %d is %#x", i, got)
		}
	}
}

func TestHoldingsEndWhenVideoIsGone(t *testing.T) {
	lib := newLibrary(smallVideo(t))
	server, client := newHosts(t, "tcp")
	serve(t, server, protocol.ServerConfig{Library: lib})
	r := run(t, client, server.ID(), lib.manifest, protocol.ClientConfig{})
	eventually(t, "first holdings", func() bool { return r.updates() == 2 })
	lib.change(func(*manifest.Holdings) { lib.gone = true })
	if err := r.wait(); err == nil {
		t.Error("run ended without an error")
	}
}
