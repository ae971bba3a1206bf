package daemon

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/metrics"
	libp2pnet "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-libp2p/x/rate"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/protocol"
)

const (
	// DefaultPort is the TCP and UDP port that a node listens on.
	DefaultPort = 4101

	// The nodes of a site often share one address: libp2p's defaults (8
	// connections, one new in 5 s) would refuse most of them.
	maxConnsPerAddress = 64
	maxStreamsPerPeer  = 64 // that it opens: 16 and 32 of ours, libp2p's own
	connsPerSecond     = 4  // new, from one address
	connsBurst         = 64

	// minPeerMemory lets a peer's data streams open their windows of 16 MiB;
	// libp2p grants window growth up to half of a peer's limit.
	minPeerMemory   = 128 << 20
	minSystemMemory = 256 << 20
	maxSystemMemory = 1 << 30

	keptBuffers = 32 // idle piece buffers, 1 MiB each

	connsLow, connsHigh = 160, 192
	quicDelay           = 250 * time.Millisecond
)

// DefaultListen is where a node listens unless it is told otherwise.
func DefaultListen() []string { return listenOn(DefaultPort) }

func listenOn(port int) []string {
	var addrs []string
	for _, ip := range []string{"/ip4/0.0.0.0", "/ip6/::"} {
		addrs = append(addrs, fmt.Sprintf("%s/tcp/%d", ip, port), fmt.Sprintf("%s/udp/%d/quic-v1", ip, port))
	}
	return addrs
}

// network is the node's place among others: its host and whom it knows of.
type network struct {
	host    host.Host
	traffic *metrics.BandwidthCounter
	buffers *protocol.Buffers // of all pieces on their way here
	log     *slog.Logger
	mdns    bool
	relayed bool // data may cross relays

	interfaces *interfaces
	suspects   chan libp2pnet.Conn // connections that may be dead
	nat        *natView
	stirred    chan struct{} // holds one: a peer was found or lost
	early      chan struct{} // one token for each peer with streams that nobody reads yet

	down   protocol.Pacer   // of pieces on their way here
	server *protocol.Server // set before Run says that the node is on the network

	mu     sync.Mutex
	lan    map[peer.ID]peer.AddrInfo // found by mDNS
	found  map[peer.ID]bool          // of those, what keepContact has not seen yet
	static []peer.AddrInfo
}

// startNetwork makes the host listen. The caller must Close the result.
func startNetwork(cfg Config, key crypto.PrivKey, trust *trustList, registry prometheus.Registerer, log *slog.Logger) (*network, error) {
	n := &network{
		traffic: metrics.NewBandwidthCounter(), buffers: protocol.NewBuffers(keptBuffers), log: log, mdns: !cfg.NoMDNS, relayed: cfg.RelayData,
		interfaces: newInterfaces(), suspects: make(chan libp2pnet.Conn, maxSuspects), nat: newNATView(), stirred: make(chan struct{}, 1), early: make(chan struct{}, maxEarly),
		lan: map[peer.ID]peer.AddrInfo{}, found: map[peer.ID]bool{},
	}
	var err error
	if n.static, err = parseStatic(cfg.Peers); err != nil {
		return nil, err
	}
	if len(cfg.Listen) > 0 {
		n.host, err = n.newHost(cfg, key, trust, registry, cfg.Listen)
	} else if n.host, err = n.newHost(cfg, key, trust, registry, DefaultListen()); err != nil {
		log.Warn("default port is taken, listening on another", "port", DefaultPort, "error", err)
		n.host, err = n.newHost(cfg, key, trust, registry, listenOn(0))
	}
	if api.CodeOf(err) == api.CodeUsage {
		return nil, err // it is about something else
	}
	if err != nil {
		return nil, api.Errorf(api.CodeUsage, "listen on %s: %w; choose another address with --listen", strings.Join(cfg.Listen, " "), err)
	}
	n.interfaces.listens(n.host.Network().ListenAddresses())
	if err := n.listenForNAT(); err != nil {
		return nil, errors.Join(err, n.host.Close())
	}
	return n, nil
}

func parseStatic(texts []string) ([]peer.AddrInfo, error) {
	var infos []peer.AddrInfo
	for _, text := range texts {
		info, err := parsePeer(text)
		if err != nil {
			return nil, err
		}
		infos = append(infos, info)
	}
	return infos, nil
}

// setStatic replaces the peers to stay connected with. Connections stay.
func (n *network) setStatic(static []peer.AddrInfo) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.static = static
}

// staticPeers are those that the configuration names.
func (n *network) staticPeers() []peer.AddrInfo {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.static
}

// client is how this node asks others.
func (n *network) client() protocol.ClientConfig {
	return protocol.ClientConfig{Buffers: n.buffers, Down: n.down, AllowRelayed: n.relayed}
}

// Close ends all connections.
func (n *network) Close() error { return n.host.Close() }

func (n *network) newHost(cfg Config, key crypto.PrivKey, trust *trustList, registry prometheus.Registerer, listen []string) (host.Host, error) {
	reaching, err := reach(cfg, trust, n.nat, listen)
	if err != nil {
		return nil, err
	}
	resources, err := newResourceManager()
	if err != nil {
		return nil, fmt.Errorf("resource limits: %w", err)
	}
	conns, err := connmgr.NewConnManager(connsLow, connsHigh)
	if err != nil {
		return nil, errors.Join(err, resources.Close())
	}
	h, err := libp2p.New(
		libp2p.Identity(key),
		libp2p.ListenAddrStrings(listen...),
		libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport()),
		libp2p.Transport(libp2pquic.NewTransport),
		protocol.Connections(),
		libp2p.Ping(false), // nobody asks, and each stream would have a window
		libp2p.ResourceManager(resources),
		libp2p.ConnectionManager(conns),
		libp2p.BandwidthReporter(n.traffic),
		libp2p.AddrsFactory(n.interfaces.correct),
		// They would stop dialling peers whose network was away for long.
		libp2p.UDPBlackHoleSuccessCounter(nil),
		libp2p.IPv6BlackHoleSuccessCounter(nil),
		libp2p.SwarmOpts(swarm.WithDialRanker(tcpFirst)),
		libp2p.UserAgent("vidsync/"+cfg.Version),
		libp2p.PrometheusRegisterer(registry),
		libp2p.ChainOptions(reaching...),
	)
	if err != nil {
		return nil, errors.Join(err, conns.Close(), resources.Close())
	}
	return listening(h, listen)
}

// listening closes a host that could not listen on one of the addresses: libp2p
// is content with any, a user who named a port is not.
func listening(h host.Host, want []string) (host.Host, error) {
	have := h.Network().ListenAddresses()
	for _, text := range want {
		a, err := ma.NewMultiaddr(text)
		if err != nil {
			return nil, errors.Join(err, h.Close())
		}
		if isIP6(a) && len(have) > 0 {
			continue // many machines have no IPv6
		}
		if !slices.ContainsFunc(have, func(b ma.Multiaddr) bool { return serves(b, a) }) {
			return nil, errors.Join(fmt.Errorf("%s: address is in use or not of this machine", text), h.Close())
		}
	}
	return h, nil
}

// serves tells whether listening on have fulfils want, whose port may be 0.
func serves(have, want ma.Multiaddr) bool {
	if strings.Contains(want.String()+"/", "/0/") {
		return have.Protocols()[0].Code == want.Protocols()[0].Code && have.Protocols()[1].Code == want.Protocols()[1].Code
	}
	return have.Equal(want)
}

func isIP6(a ma.Multiaddr) bool { return a.Protocols()[0].Code == ma.P_IP6 }

// tcpFirst dials TCP at once and QUIC a little later: one TCP connection
// carries three to four times as much per CPU second.
func tcpFirst(addrs []ma.Multiaddr) []libp2pnet.AddrDelay {
	ranked := make([]libp2pnet.AddrDelay, 0, len(addrs))
	for _, a := range addrs {
		d := libp2pnet.AddrDelay{Addr: a}
		if _, err := a.ValueForProtocol(ma.P_UDP); err == nil {
			d.Delay = quicDelay
		}
		ranked = append(ranked, d)
	}
	return ranked
}

func newResourceManager() (libp2pnet.ResourceManager, error) {
	limits := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&limits)
	memory := min(maxSystemMemory, max(minSystemMemory, totalMemory()/8))
	scaled := limits.Scale(memory, maxOpenFiles()/4)
	partial := rcmgr.PartialLimitConfig{
		System: rcmgr.ResourceLimits{Memory: rcmgr.LimitVal64(memory)},
		PeerDefault: rcmgr.ResourceLimits{
			Memory:         rcmgr.LimitVal64(max(minPeerMemory, memory/4)),
			StreamsInbound: maxStreamsPerPeer,
		},
		// Streams whose protocol is not agreed on yet, of all peers. The default
		// is what a single peer may open.
		Transient: rcmgr.ResourceLimits{
			StreamsInbound: maxConnsPerAddress * maxStreamsPerPeer * 3 / 2,
			Streams:        maxConnsPerAddress * maxStreamsPerPeer * 3 / 2,
		},
		// What protocol reserves is pieces in memory, which it counts itself.
		Service:     map[string]rcmgr.ResourceLimits{protocol.ServiceName: {Memory: rcmgr.LimitVal64(memory / 2)}},
		ServicePeer: map[string]rcmgr.ResourceLimits{protocol.ServiceName: {Memory: rcmgr.LimitVal64(memory / 4)}},
	}
	perAddress := func(prefix int) []rcmgr.ConnLimitPerSubnet {
		return []rcmgr.ConnLimitPerSubnet{{PrefixLength: prefix, ConnCount: maxConnsPerAddress}}
	}
	limit := rate.Limit{RPS: connsPerSecond, Burst: connsBurst}
	return rcmgr.NewResourceManager(
		rcmgr.NewFixedLimiter(partial.Build(scaled)),
		rcmgr.WithLimitPerSubnet(perAddress(32), perAddress(56)),
		rcmgr.WithConnRateLimiters(&rate.Limiter{
			NetworkPrefixLimits: loopbackUnlimited(),
			SubnetRateLimiter: rate.SubnetLimiter{
				IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: limit}},
				IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 56, Limit: limit}},
				GracePeriod:      time.Minute,
			},
		}),
		rcmgr.WithMetricsDisabled(),
	)
}

// shareableAddrs are the addresses worth telling others: loopback only where
// there is nothing else, and no more than a ticket carries.
func (n *network) shareableAddrs() []ma.Multiaddr {
	addrs := n.host.Addrs()
	reachable := slices.DeleteFunc(slices.Clone(addrs), manet.IsIPLoopback)
	if len(reachable) > 0 {
		addrs = reachable
	}
	slices.SortStableFunc(addrs, func(a, b ma.Multiaddr) int { return addrCost(a) - addrCost(b) })
	return addrs[:min(len(addrs), maxTicketAddr)]
}

// addrCost puts TCP before UDP, IPv4 before IPv6, and relays last.
func addrCost(a ma.Multiaddr) int {
	cost := 0
	if isRelayed(a) {
		cost += 4
	}
	if _, err := a.ValueForProtocol(ma.P_UDP); err == nil {
		cost += 2
	}
	if isIP6(a) {
		cost++
	}
	return cost
}

// fullAddrs are the host's addresses with its peer ID.
func (n *network) fullAddrs() []string {
	texts := []string{}
	for _, a := range n.host.Addrs() {
		texts = append(texts, fmt.Sprintf("%s/p2p/%s", a, n.host.ID()))
	}
	return texts
}

// hasMulticast tells whether any interface is fit for mDNS.
func hasMulticast() bool {
	interfaces, err := net.Interfaces()
	if err != nil {
		return false
	}
	return slices.ContainsFunc(interfaces, func(i net.Interface) bool {
		return i.Flags&net.FlagUp != 0 && i.Flags&net.FlagMulticast != 0 && i.Flags&net.FlagLoopback == 0
	})
}
