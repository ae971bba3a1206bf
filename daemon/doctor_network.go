package daemon

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"

	libp2pnet "github.com/libp2p/go-libp2p/core/network"
	bhost "github.com/libp2p/go-libp2p/p2p/host/basic"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/vidsync/vidsync/api"
)

const (
	checkNameFirewall = "firewall"
	checkNameNAT      = "nat"
	checkNamePortMap  = "port map"

	beReachable = "forward TCP and UDP port %s to this machine, or name a node of yours with --relay"
)

// checkReach tells how others get at this node. Only a running daemon knows.
func (n *Node) checkReach() []api.Check {
	net := n.onlineNow()
	if net == nil {
		var unknown []api.Check
		for _, name := range []string{checkNameFirewall, checkNameNAT, checkNamePortMap} {
			unknown = append(unknown, api.Check{Name: name, State: checkOK, Detail: "not known: no daemon is running"})
		}
		return unknown
	}
	seen := net.nat.look(net.host.Network().ListenAddresses())
	seen.forced = n.cfg.RelayService || len(n.cfg.Relays) > 0
	seen.asks = !n.cfg.NoPortMap
	return []api.Check{seen.firewall(localFirewall()), seen.kind(net.interfaces.has), seen.portMap(net.interfaces.has)}
}

// seenFromOutside is what doctor judges by.
type seenFromOutside struct {
	listen  []ma.Multiaddr
	inbound ma.Multiaddr                  // whence a peer has connected; nil: none has
	public  libp2pnet.Reachability        // as libp2p's peers say
	forced  bool                          // public is what the settings say
	from    map[netip.Addr]netip.Addr     // by observer: this node's address
	udp     map[netip.Addr]netip.AddrPort // by observer: the same with the port
	asks    bool                          // the router is asked for ports
	router  bool                          // and there is one that can be asked
	mapped  []string                      // what it forwards
}

// port is the first that the node listens on.
func (s seenFromOutside) port() string {
	for _, a := range s.listen {
		for _, code := range []int{ma.P_TCP, ma.P_UDP} {
			if port, err := a.ValueForProtocol(code); err == nil {
				return port
			}
		}
	}
	return fmt.Sprint(DefaultPort)
}

// firewall judges whether connections from other machines come through to the
// ports. active is what filters on this machine, with how to open a port.
func (s seenFromOutside) firewall(active, open string) api.Check {
	c := api.Check{Name: checkNameFirewall, State: checkOK}
	port := s.port()
	switch {
	case !slices.ContainsFunc(s.listen, func(a ma.Multiaddr) bool { return !manet.IsIPLoopback(a) }):
		c.Detail = "listening for this machine alone"
	case s.inbound != nil:
		c.Detail = fmt.Sprintf("open: a trusted peer has connected from %s", s.inbound)
	case s.public == libp2pnet.ReachabilityPublic && !s.forced:
		c.Detail = "open: peers on the internet can connect"
	case s.public == libp2pnet.ReachabilityPrivate && !s.forced:
		c.State, c.Detail = checkWarning, fmt.Sprintf("peers on the internet cannot connect to port %s", port)
		c.Remedy = fmt.Sprintf(beReachable, port)
	case active != "":
		c.State, c.Detail = checkWarning, fmt.Sprintf("%s is active, and no trusted peer has connected from another machine yet", active)
		c.Remedy = "if others are to connect to this node: " + strings.ReplaceAll(open, "PORT", port)
	default:
		c.Detail = "not known: no trusted peer has connected from another machine yet"
	}
	return c
}

// localFirewall names a firewall of this machine that is switched on, with the
// command that opens a port.
func localFirewall() (active, open string) {
	conf, _ := os.ReadFile("/etc/ufw/ufw.conf")
	if strings.Contains(string(conf), "\nENABLED=yes") {
		return "ufw", "ufw allow PORT"
	}
	if _, err := os.Stat("/run/firewalld"); err == nil {
		return "firewalld", "firewall-cmd --permanent --add-port=PORT/tcp --add-port=PORT/udp && firewall-cmd --reload"
	}
	if chains, err := os.ReadFile("/etc/nftables.conf"); err == nil && nftFilters(string(chains)) {
		return "nftables", "nft add rule inet filter input meta l4proto { tcp, udp } th dport PORT accept"
	}
	return "", ""
}

// nftFilters tells whether rules drop what comes in unless told otherwise.
func nftFilters(rules string) bool {
	return strings.Contains(rules, "hook input") && (strings.Contains(rules, "policy drop") || strings.Contains(rules, "reject") || strings.Contains(rules, "\tdrop"))
}

// outside are the observers that see the node at an address that is not its own,
// and that address.
func (s seenFromOutside) outside(own func(netip.Addr) bool) (observers []netip.Addr, router netip.Addr) {
	for observer, at := range s.from {
		if !own(at) {
			observers, router = append(observers, observer), at
		}
	}
	return observers, router
}

// kind judges what the routers between do to the node's own address.
func (s seenFromOutside) kind(own func(netip.Addr) bool) api.Check {
	c := api.Check{Name: checkNameNAT, State: checkOK}
	observers, router := s.outside(own)
	mappings := map[netip.AddrPort]bool{}
	asked := 0
	for _, observer := range observers {
		if at, ok := s.udp[observer]; ok {
			mappings[at] = true
			asked++
		}
	}
	behind := fmt.Sprintf("behind a router: peers outside see this node at %s; ", router)
	switch {
	case len(s.from) == 0:
		c.Detail = "not known: no trusted peer on another machine is connected"
	case len(observers) == 0:
		c.Detail = "none: peers see this node at its own address"
	case asked < 2:
		c.Detail = behind + "of which kind it is shows once two trusted peers outside are connected over QUIC"
	case len(mappings) == 1:
		c.Detail = behind + "its UDP port is the same for all of them (endpoint-independent), so a direct way can be found through a relay"
	default:
		c.State, c.Detail = checkWarning, behind+"its UDP port is another one for each of them (symmetric), so no direct way is found through a relay"
		c.Remedy = fmt.Sprintf("forward TCP and UDP port %s to this machine, or let videos cross your relay with --relay-data", s.port())
	}
	return c
}

// portMap judges whether the router forwards the ports.
func (s seenFromOutside) portMap(own func(netip.Addr) bool) api.Check {
	c := api.Check{Name: checkNamePortMap, State: checkOK}
	observers, _ := s.outside(own)
	switch {
	case !s.asks:
		c.Detail = "switched off"
	case len(s.mapped) > 0:
		c.Detail = "the router forwards " + strings.Join(s.mapped, " ")
	case s.router:
		c.State, c.Detail = checkWarning, "the router answers to UPnP or NAT-PMP, but forwards no port"
		c.Remedy = fmt.Sprintf(beReachable, s.port())
	case len(observers) > 0 && s.inbound == nil:
		c.State, c.Detail = checkWarning, "the router does not answer to UPnP or NAT-PMP"
		c.Remedy = "if others are to connect to this node: switch one of them on in the router, " + fmt.Sprintf(beReachable, s.port())
	default:
		c.Detail = "no router that forwards ports was found, and none is needed so far"
	}
	return c
}

// look is what has been seen so far.
func (v *natView) look(listen []ma.Multiaddr) seenFromOutside {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := seenFromOutside{inbound: v.inbound, public: v.public, from: map[netip.Addr]netip.Addr{}, udp: map[netip.Addr]netip.AddrPort{}}
	maps.Copy(s.from, v.behind)
	maps.Copy(s.udp, v.observed)
	s.listen = listen
	if v.router != nil {
		s.router, s.mapped = v.router.HasDiscoveredNAT(), forwards(v.router, listen)
	}
	return s
}

// forwards are the addresses at which the router forwards ports.
func forwards(router bhost.NATManager, listen []ma.Multiaddr) []string {
	var mapped []string
	for _, a := range listen {
		if outside := router.GetMapping(a); outside != nil {
			mapped = append(mapped, outside.String())
		}
	}
	return mapped
}
