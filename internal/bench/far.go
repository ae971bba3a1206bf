package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vidsync/vidsync/api"
)

const (
	listenPort   = 4101 // of nodes in namespaces
	farMbit      = 200
	farRoundTrip = 100 * time.Millisecond
	farLoss      = 0.0001 // share of packets, in the case with loss
	farPort      = 4102
	farWarmup    = 5 * time.Second
)

// distant is a source behind a long wire, and hosts at the other end.
type distant struct {
	b      *bench
	lan    *lan
	source *node
	wire   *child  // the proxy
	addr   string  // of the source, at this end of the wire
	plain  float64 // Mbit/s that plain TCP gets through it
	stream float64 // and a libp2p stream
	size   int64
	cid    string
	here   *lanHost
}

// newDistant starts a source, and a proxy in the hub that is the only way to
// it. The caller calls remove, also after an error.
func (b *bench) newDistant(ctx context.Context, loss float64) (d *distant, err error) {
	d = &distant{b: b, size: b.scaled(768 * mib)}
	path, err := b.video(d.size)
	if err != nil {
		return d, err
	}
	if d.lan, err = newLAN(ctx, false); err != nil {
		return d, err
	}
	there, err := d.lan.addHost(ctx, 0)
	if err != nil {
		return d, err
	}
	if d.here, err = d.lan.addHost(ctx, 0); err != nil {
		return d, err
	}
	if err = d.measureWire(ctx, there, loss); err != nil {
		return d, err
	}
	if d.source, err = b.startNode(ctx, "source", there.Place); err != nil {
		return d, err
	}
	if d.cid, err = d.source.Add(ctx, path); err != nil {
		return d, err
	}
	target := fmt.Sprintf("%s:%d", there.ip, listenPort)
	var ready string
	if d.wire, ready, err = d.startWire(ctx, farPort, target, loss); err != nil {
		return d, err
	}
	d.addr = multiaddrOf(ready, d.source.ID)
	return d, nil
}

func (d *distant) startWire(ctx context.Context, port int, target string, loss float64) (*child, string, error) {
	listen := fmt.Sprintf("%s:%d", d.here.hub.Listen, port)
	return d.b.startChild(ctx, d.here.hub.Prefix, "proxy", listen, target,
		fmt.Sprint(farMbit*1e6/8), farRoundTrip.String(), fmt.Sprint(loss))
}

// measureWire is what plain TCP and a libp2p stream carry over such a wire, in
// Mbit/s.
func (d *distant) measureWire(ctx context.Context, there *lanHost, loss float64) error {
	target := fmt.Sprintf("%s:%d", there.ip, senderPort)
	sender, _, err := d.b.startChild(ctx, there.Prefix, "sender", target)
	if err != nil {
		return err
	}
	defer sender.end()
	if d.plain, err = d.overWire(ctx, target, loss, ""); err != nil {
		return err
	}
	stream, addr, err := d.b.startChild(ctx, there.Prefix, "stream", there.Listen, "stock")
	if err != nil {
		return err
	}
	defer stream.end()
	target = fmt.Sprintf("%s:%d", there.ip, listenPort)
	_, id, _ := strings.Cut(addr, "/p2p/")
	d.stream, err = d.overWire(ctx, target, loss, id)
	return err
}

// overWire is what comes from target over a wire of its own: from the stream
// of that peer or, without one, as plain TCP.
func (d *distant) overWire(ctx context.Context, target string, loss float64, peerID string) (float64, error) {
	wire, addr, err := d.startWire(ctx, senderPort, target, loss)
	if err != nil {
		return 0, err
	}
	defer wire.end()
	if peerID != "" {
		addr = multiaddrOf(addr, peerID)
	}
	return d.b.carried(ctx, d.here.Place, addr)
}

func multiaddrOf(tcpAddr, peerID string) string {
	ip, port, _ := strings.Cut(tcpAddr, ":")
	return fmt.Sprintf("/ip4/%s/tcp/%s/p2p/%s", ip, port, peerID)
}

func (d *distant) remove() {
	if d.wire != nil {
		d.wire.end()
	}
	if d.source != nil {
		d.source.remove()
	}
	if d.lan != nil {
		d.lan.remove()
	}
}

// runFar fetches over a wire of 200 Mbit/s and 100 ms.
func runFar(ctx context.Context, b *bench) ([]figure, error) {
	d, err := b.newDistant(ctx, 0)
	defer d.remove()
	if err != nil {
		return nil, err
	}
	figures, err := d.fetch(ctx)
	if err != nil {
		return nil, err
	}
	cold, err := d.cat(ctx, false)
	if err != nil {
		return nil, err
	}
	warm, err := d.cat(ctx, true)
	piece := time.Duration(mib * 8 / (farMbit * 1e6) * float64(time.Second))
	trips := func(after time.Duration) float64 { return float64(after-piece) / float64(farRoundTrip) }
	return append(figures,
		figure{"cat, first byte, not connected", "ms", milliseconds(cold)},
		figure{"cat, first byte, connected", "ms", milliseconds(warm)},
		figure{"the same less one piece", "round trips", trips(warm)},
	), err
}

// runLossy fetches over a wire that loses packets, too.
func runLossy(ctx context.Context, b *bench) ([]figure, error) {
	d, err := b.newDistant(ctx, farLoss)
	defer d.remove()
	if err != nil {
		return nil, err
	}
	return d.fetch(ctx)
}

func (d *distant) fetch(ctx context.Context) ([]figure, error) {
	fetcher, err := d.b.startNode(ctx, "fetcher", d.here.Place)
	if err != nil {
		return nil, err
	}
	defer fetcher.remove()
	var steady track
	m := startMeter(false)
	result, err := fetcher.Fetch(ctx, d.cid, steady.note, d.addr)
	if err != nil {
		return nil, err
	}
	wall, _ := m.read()
	rate := float64(d.size) * 8 / 1e6 / wall
	figures := []figure{
		{"plain TCP over the same wire", "Mbit/s", d.plain},
		{"libp2p stream over the same wire", "Mbit/s", d.stream},
		{"fetch", "Mbit/s", rate},
		{"fetch / wire", "%", 100 * rate / farMbit},
		{"duplicates", "% of file", percent(result.DuplicateBytes, d.size)},
	}
	if after, ok := steady.rateAfter(farWarmup); ok {
		figures = append(figures,
			figure{"after the first 5 s / wire", "%", 100 * after * 8 / 1e6 / farMbit},
			figure{"after the first 5 s / plain TCP", "%", 100 * after * 8 / 1e6 / d.plain})
	}
	figures = append(figures, memory("source", d.source)...)
	return append(figures, memory("fetcher", fetcher)...), nil
}

// cat asks for the first byte, on a new node or on one that has been connected
// with the source before.
func (d *distant) cat(ctx context.Context, connected bool) (time.Duration, error) {
	reader, err := d.b.startNode(ctx, "reader", d.here.Place)
	if err != nil {
		return 0, err
	}
	defer reader.remove()
	if connected {
		if err := reader.befriend(ctx, d.addr, d.source.ID); err != nil {
			return 0, err
		}
	}
	return reader.firstByte(ctx, d.cid, d.addr)
}

// befriend trusts a peer and waits until it is connected.
func (n *node) befriend(ctx context.Context, addr, id string) error {
	const patience = 15 * time.Second
	if _, err := n.API.AddPeer(ctx, api.AddPeerRequest{Addr: addr}); err != nil {
		return err
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		peers, err := n.API.Peers(ctx)
		if err != nil {
			return err
		}
		for _, p := range peers {
			if p.PeerID == id && p.Connected {
				return nil
			}
		}
	}
	return errors.New("a trusted peer was not connected in time")
}
