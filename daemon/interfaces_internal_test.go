package daemon

import (
	"net/netip"
	"slices"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
)

func multiaddrs(texts ...string) []ma.Multiaddr {
	var addrs []ma.Multiaddr
	for _, text := range texts {
		addrs = append(addrs, ma.StringCast(text))
	}
	return addrs
}

// What libp2p believes to be the host's addresses is corrected, and nothing
// else is touched.
func TestInterfacesCorrect(t *testing.T) {
	const relayed = "/ip4/192.0.2.9/tcp/4101/p2p/12D3KooWDDf5zbakcNMbBhNeqSXhiofnscsGTt6pQuPiEDs2GTKX/p2p-circuit"
	for name, c := range map[string]struct {
		listen, believed, want []ma.Multiaddr
	}{
		"moved":           {multiaddrs("/ip4/0.0.0.0/tcp/4101"), multiaddrs("/ip4/10.7.0.1/tcp/4101"), multiaddrs("/ip4/10.7.0.2/tcp/4101")},
		"known already":   {multiaddrs("/ip4/0.0.0.0/tcp/4101"), multiaddrs("/ip4/10.7.0.2/tcp/4101"), multiaddrs("/ip4/10.7.0.2/tcp/4101")},
		"router":          {multiaddrs("/ip4/0.0.0.0/tcp/1"), multiaddrs("/ip4/11.0.0.5/tcp/7"), multiaddrs("/ip4/11.0.0.5/tcp/7", "/ip4/10.7.0.2/tcp/1")},
		"loopback":        {multiaddrs("/ip4/127.0.0.1/tcp/1"), multiaddrs("/ip4/127.0.0.1/tcp/1"), multiaddrs("/ip4/127.0.0.1/tcp/1")},
		"relay":           {multiaddrs("/ip4/0.0.0.0/tcp/1", "/p2p-circuit"), multiaddrs(relayed), multiaddrs(relayed, "/ip4/10.7.0.2/tcp/1")},
		"before it began": {nil, multiaddrs("/ip4/10.7.0.2/tcp/1"), multiaddrs("/ip4/10.7.0.2/tcp/1")},
	} {
		t.Run(name, func(t *testing.T) {
			i := newInterfaces()
			i.now = map[netip.Addr]bool{netip.MustParseAddr("10.7.0.2"): true}
			i.gone = map[netip.Addr]bool{netip.MustParseAddr("10.7.0.1"): true}
			i.listens(c.listen)
			got := i.correct(c.believed)
			if !slices.EqualFunc(got, c.want, ma.Multiaddr.Equal) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// Whoever waits for a change hears of it, and addresses that have gone are known
// as gone.
func TestInterfacesChange(t *testing.T) {
	i := newInterfaces()
	i.now[netip.MustParseAddr("203.0.113.77")] = true // as if it had been there
	changed := i.next()
	i.state = "other"
	if !i.look() {
		t.Fatal("the change is not noticed")
	}
	<-changed
	if !i.lost(ma.StringCast("/ip4/203.0.113.77/tcp/1")) {
		t.Error("an address that is gone is not known as gone")
	}
	if i.lost(ma.StringCast("/ip4/127.0.0.1/tcp/1")) {
		t.Error("an address that stays counts as gone")
	}
}
