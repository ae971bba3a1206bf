package protocol_test

import (
	"errors"
	"io/fs"
	"testing"

	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol"
)

// Every question is answered by what is so when it is asked.
func TestAskHoldings(t *testing.T) {
	v := smallVideo(t)
	onEachTransport(t, func(t *testing.T, transport string) {
		lib := newLibrary(v)
		server, client := newHosts(t, transport)
		serve(t, server, protocol.ServerConfig{Library: lib})
		ask := func() *manifest.Holdings {
			t.Helper()
			have, err := protocol.AskHoldings(t.Context(), client, server.ID(), v.manifest, []byte(capability), protocol.ClientConfig{})
			if err != nil {
				t.Fatal(err)
			}
			return have
		}
		if !ask().Complete() {
			t.Error("a video that is whole is not")
		}
		lib.change(func(h *manifest.Holdings) { h.Remove(1, 0b010) })
		if have := ask(); have.Complete() || have.Mask(1) != 0b101 {
			t.Errorf("without a piece: %d pieces", have.Pieces())
		}
		other := splitVideo(t, 5000, make([]byte, 5000), nil)
		_, err := protocol.AskHoldings(t.Context(), client, server.ID(), other.manifest, []byte(capability), protocol.ClientConfig{})
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a video that is not there: %v", err)
		}
	})
}

func TestAskHoldingsOfStrangers(t *testing.T) {
	lib := newLibrary(smallVideo(t))
	server, client := newHosts(t, "tcp")
	serve(t, server, protocol.ServerConfig{Library: lib})
	_, err := protocol.AskHoldings(t.Context(), client, server.ID(), lib.manifest, nil, protocol.ClientConfig{})
	if !errors.Is(err, protocol.ErrRefused) {
		t.Errorf("asked by a stranger: %v", err)
	}
}
