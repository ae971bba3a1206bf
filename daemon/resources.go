package daemon

import (
	"os"

	libp2pnet "github.com/libp2p/go-libp2p/core/network"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/exchange"
	"github.com/vidsync/vidsync/protocol"
)

// resources is how much of the node's bounded things is in use.
func (n *Node) resources() api.Resources {
	r := api.Resources{OpenFiles: api.Usage{Used: openFiles(), Limit: int64(maxOpenFiles())}}
	r.PieceMemory.Limit = maxInFlightAll
	for _, u := range n.memory.all() {
		if x, ok := u.(*exchange.Exchange); ok {
			r.PieceMemory.Used += owed(x.Stats())
		}
	}
	if net := n.onlineNow(); net != nil {
		net.usage(&r)
	}
	return r
}

// owed is the bytes that an exchange has asked for and not got yet.
func owed(stats exchange.Stats) int64 {
	var bytes int64
	for _, p := range stats.Peers {
		bytes += p.InFlight
	}
	return bytes
}

// usage adds what the host's resource manager counts.
func (n *network) usage(r *api.Resources) {
	manager := n.host.Network().ResourceManager()
	_ = manager.ViewSystem(func(s libp2pnet.ResourceScope) error {
		stat, limit := s.Stat(), limitOf(s)
		r.NetworkMemory.Used = stat.Memory
		r.Streams.Used = int64(stat.NumStreamsInbound + stat.NumStreamsOutbound)
		r.Connections.Used = int64(stat.NumConnsInbound + stat.NumConnsOutbound)
		if limit != nil {
			r.NetworkMemory.Limit = limit.GetMemoryLimit()
			r.Streams.Limit, r.Connections.Limit = int64(limit.GetStreamTotalLimit()), int64(limit.GetConnTotalLimit())
		}
		return nil
	})
	_ = manager.ViewService(protocol.ServiceName, func(s libp2pnet.ServiceScope) error {
		r.ServingMemory.Used = s.Stat().Memory
		if limit := limitOf(s); limit != nil {
			r.ServingMemory.Limit = limit.GetMemoryLimit()
		}
		return nil
	})
}

// limitOf is a scope's limit, nil if it does not say.
func limitOf(s libp2pnet.ResourceScope) rcmgr.Limit {
	if l, ok := s.(rcmgr.ResourceScopeLimiter); ok {
		return l.Limit()
	}
	return nil
}

// openFiles is how many files this process has open; 0 where the system does
// not say.
func openFiles() int64 {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return int64(len(entries) - 1) // but for the folder itself
}
