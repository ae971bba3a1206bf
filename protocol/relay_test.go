package protocol_test

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	relayclient "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/vidsync/vidsync/protocol"
)

// relayedHosts returns two hosts that reach each other only over a relay.
func relayedHosts(t *testing.T) (server, client host.Host) {
	t.Helper()
	start := func(options ...libp2p.Option) host.Host {
		h, err := libp2p.New(append(options, libp2p.DisableMetrics())...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = h.Close() })
		return h
	}
	relay := start(libp2p.EnableRelayService(), libp2p.ForceReachabilityPublic(),
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
	server = start(libp2p.EnableRelay(), libp2p.NoListenAddrs)
	client = start(libp2p.EnableRelay(), libp2p.NoListenAddrs)
	connect(t, server, relay)
	connect(t, client, relay)
	if _, err := relayclient.Reserve(t.Context(), server, peer.AddrInfo{ID: relay.ID(), Addrs: relay.Addrs()}); err != nil {
		t.Fatal(err)
	}
	circuit := ma.StringCast("/p2p/" + relay.ID().String() + "/p2p-circuit/p2p/" + server.ID().String())
	if err := client.Connect(t.Context(), peer.AddrInfo{ID: server.ID(), Addrs: []ma.Multiaddr{circuit}}); err != nil {
		t.Fatal(err)
	}
	return server, client
}

func TestRelayedStreams(t *testing.T) {
	v := splitVideo(t, 8, []byte("vidsync\n"), nil)
	server, client := relayedHosts(t)
	for _, test := range []struct {
		name                             string
		serverAllows, clientAllows, want bool
	}{
		{"client does not", true, false, false},
		{"server does not", false, true, false},
		{"both allow", true, true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			stop := serve(t, server, protocol.ServerConfig{Library: newLibrary(v), AllowRelayed: test.serverAllows})
			defer stop()
			timeout := longWait
			if !test.clientAllows {
				timeout = 2 * time.Second // it waits for a direct connection
			}
			r := protocol.NewRemote(client, server.ID(), v.manifest.CID(), []byte(capability),
				protocol.ClientConfig{AllowRelayed: test.clientAllows, Timeout: timeout})
			if _, err := r.Manifest(t.Context()); (err == nil) != test.want {
				t.Errorf("got %v", err)
			}
		})
	}
}
