package daemon

import (
	"context"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/vidsync/vidsync/protocol"
)

const (
	// maxReports is how many bad pieces wait for their peers to be told. More
	// are not told: a peer that hears of one looks at its disk.
	maxReports = 16
	// reportTimeout bounds the telling of one peer.
	reportTimeout = 10 * time.Second
	// lastReports bounds it for all that are left when the node stops.
	lastReports = 2 * time.Second
)

// badReport is one bad piece that the peer who sent it is to hear of.
type badReport struct {
	peer         peer.ID
	video        cid.Cid
	block, piece int
	capability   []byte // that the peer honoured
}

// blame remembers that a peer sent a bad piece, and has it told. It does not
// wait for the network.
func (n *Node) blame(r badReport, sender string, why error) {
	id, err := peer.Decode(sender)
	if err != nil {
		return // from our own exchange: cannot happen
	}
	r.peer = id
	n.logged("remember ban", n.bans.add(ban{
		Peer: id, Video: r.video.String(), Block: r.block, Piece: r.piece, Time: time.Now().UTC(), Reason: why.Error(),
	}))
	select {
	case n.reports <- r:
	default: // enough wait already
	}
}

// sendReports tells peers of the bad pieces that they sent, one after another,
// until ctx ends. What is left then gets a short last chance: a command that
// fetches ends soon after it found the only provider wrong.
func (n *Node) sendReports(ctx context.Context, net *network) error {
	for {
		select {
		case r := <-n.reports:
			n.sendReport(ctx, net, r)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastReports)
			defer cancel()
			for range len(n.reports) {
				n.sendReport(last, net, <-n.reports)
			}
			return ctx.Err()
		}
	}
}

func (n *Node) sendReport(ctx context.Context, net *network, r badReport) {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	remote := protocol.NewRemote(net.host, r.peer, r.video, r.capability, protocol.ClientConfig{})
	if err := remote.ReportBad(ctx, r.block, r.piece); err != nil {
		n.log.Debug("peer was not told of its bad piece", "peer", r.peer, "video", r.video, "error", err)
	}
}
