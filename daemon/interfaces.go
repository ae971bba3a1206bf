package daemon

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// interfaceCheck is how often the machine's interfaces are looked at. libp2p
// looks once a minute.
const interfaceCheck = time.Second

// interfaces knows the addresses of this machine as they are now, and tells of
// changes: an address, or an interface that goes down or comes up.
type interfaces struct {
	mu      sync.Mutex
	listen  []ma.Multiaddr      // where the host listens, as it was told
	state   string              // everything that counts as a change
	now     map[netip.Addr]bool // present addresses
	gone    map[netip.Addr]bool // former addresses
	losses  int                 // how often one went
	changed chan struct{}       // closed by the next change
}

func newInterfaces() *interfaces {
	i := &interfaces{gone: map[netip.Addr]bool{}, changed: make(chan struct{})}
	i.state, i.now = lookAtInterfaces()
	return i
}

// maxGone bounds the former addresses that are remembered.
const maxGone = 1024

// lookAtInterfaces describes the interfaces, and names their addresses.
func lookAtInterfaces() (state string, addrs map[netip.Addr]bool) {
	addrs = map[netip.Addr]bool{}
	all, err := net.Interfaces()
	if err != nil {
		return err.Error(), addrs
	}
	var text strings.Builder
	for _, i := range all {
		fmt.Fprintf(&text, "%s %v", i.Name, i.Flags&(net.FlagUp|net.FlagRunning))
		found, err := i.Addrs()
		if err != nil {
			continue // it went away just now
		}
		for _, a := range found {
			fmt.Fprintf(&text, " %v", a)
			if n, ok := a.(*net.IPNet); ok {
				addrs[addrOf(n.IP)] = true
			}
		}
		text.WriteByte('\n')
	}
	return text.String(), addrs
}

func addrOf(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}

// listens says where the host listens. What it has at relays does not count.
func (i *interfaces) listens(on []ma.Multiaddr) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.listen = slices.DeleteFunc(slices.Clone(on), isRelayed)
}

// next is closed when the interfaces change for the next time.
func (i *interfaces) next() <-chan struct{} {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.changed
}

// look finds out whether anything changed since the last look.
func (i *interfaces) look() bool {
	state, now := lookAtInterfaces()
	i.mu.Lock()
	defer i.mu.Unlock()
	if state == i.state {
		return false
	}
	if len(i.gone) > maxGone {
		clear(i.gone)
	}
	for a := range i.now {
		i.gone[a] = true
	}
	for a := range now {
		delete(i.gone, a)
	}
	if slices.ContainsFunc(slices.Collect(maps.Keys(i.now)), func(a netip.Addr) bool { return !now[a] }) {
		i.losses++
	}
	i.state, i.now = state, now
	close(i.changed)
	i.changed = make(chan struct{})
	return true
}

// lost tells whether an address was this machine's and is no more.
func (i *interfaces) lost(a ma.Multiaddr) bool {
	ip, err := manet.ToIP(a)
	if err != nil {
		return false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.gone[addrOf(ip)]
}

// lossesSoFar counts the changes in which an address went.
func (i *interfaces) lossesSoFar() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.losses
}

// has tells whether an address is this machine's.
func (i *interfaces) has(a netip.Addr) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.now[a]
}

// listening are the addresses that the host can be reached at on this machine's
// own networks.
func (i *interfaces) listening() []ma.Multiaddr {
	i.mu.Lock()
	defer i.mu.Unlock()
	var ips []ma.Multiaddr
	for a := range i.now {
		if ip, err := manet.FromIP(a.AsSlice()); err == nil && !a.IsLinkLocalUnicast() {
			ips = append(ips, ip)
		}
	}
	addrs, err := manet.ResolveUnspecifiedAddresses(i.listen, ips)
	if err != nil {
		return nil // none of the families that it listens on
	}
	return addrs
}

// correct brings the addresses that libp2p believes to be the host's up to date.
// It is an AddrsFactory.
func (i *interfaces) correct(addrs []ma.Multiaddr) []ma.Multiaddr {
	addrs = slices.DeleteFunc(slices.Clone(addrs), i.lost)
	relayed := slices.ContainsFunc(addrs, isRelayed)
	for _, a := range i.listening() {
		if hidden := relayed && manet.IsPublicAddr(a); !hidden && !ma.Contains(addrs, a) {
			addrs = append(addrs, a)
		}
	}
	return addrs
}

// watchInterfaces ends connections whose own address is gone and has the others
// looked at when the interfaces change, until ctx ends.
func (n *network) watchInterfaces(ctx context.Context) error {
	tick := time.NewTicker(interfaceCheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if !n.interfaces.look() {
			continue
		}
		n.log.Info("the machine's addresses or interfaces have changed")
		for _, conn := range n.host.Network().Conns() {
			n.suspect(conn)
		}
	}
}
