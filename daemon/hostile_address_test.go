package daemon

import (
	"fmt"
	"testing"

	libp2pnet "github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
)

// An address gets as many connections as a site needs, and no more. Others
// are not hit.
func TestConnectionsOfOneAddress(t *testing.T) {
	resources, err := newResourceManager()
	if err != nil {
		t.Fatal(err)
	}
	defer resources.Close()
	open := func(addr string, n int) (allowed int) {
		for i := range n {
			a := ma.StringCast(fmt.Sprintf("%s/tcp/%d", addr, 1000+i))
			scope, err := resources.OpenConnection(libp2pnet.DirInbound, false, a)
			if err != nil {
				continue
			}
			defer scope.Done()
			_, id := testKey(t)
			if err := scope.SetPeer(id); err != nil { // or it counts as one whose peer is not known
				t.Error(err)
			}
			allowed++
		}
		return allowed
	}
	for _, addr := range []string{"/ip4/192.0.2.7", "/ip6/2001:db8::7"} {
		if n := open(addr, 100); n != maxConnsPerAddress {
			t.Errorf("%d of 100 connections from %s are allowed", n, addr)
		}
	}
	if n := open("/ip4/192.0.2.8", 1); n != 1 {
		t.Error("another address is refused")
	}
}
