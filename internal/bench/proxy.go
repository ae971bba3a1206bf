package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	packetBytes = 1448 // of TCP payload
	chunkBytes  = 16 << 10
	// queueTime is how much a lane holds that has not left yet: what a router
	// would queue. It also bridges the pauses of this process.
	queueTime = 20 * time.Millisecond
	// proxySocketBytes keeps the sockets' own queues short.
	proxySocketBytes = 256 << 10
	minSlots         = 1024
)

// A lane is one direction of a link: what is put in leaves at a rate and
// arrives after a delay, in order. It stands for a wire whose TCP always fills
// it: a lost packet holds up what is behind it for one more round trip, as the
// repetition does, and no congestion control slows the sender down.
type lane struct {
	bytesPerSecond float64
	delay          time.Duration // one way
	loss           float64       // share of packets

	mu   sync.Mutex
	free time.Time // when all that was put in has left
	last time.Time // when the last of it arrives
}

// pass puts n bytes in and says when they have left and when they arrive.
func (l *lane) pass(now time.Time, n int) (left, arrives time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.free.Before(now) {
		l.free = now
	}
	l.free = l.free.Add(time.Duration(float64(n) / l.bytesPerSecond * float64(time.Second)))
	arrives = l.free.Add(l.delay)
	if l.loss > 0 && rand.Float64() > math.Pow(1-l.loss, math.Ceil(float64(n)/packetBytes)) {
		arrives = arrives.Add(2 * l.delay)
	}
	if arrives.Before(l.last) {
		arrives = l.last
	}
	l.last = arrives
	return l.free, arrives
}

type parcel struct {
	data    []byte
	arrives time.Time
}

// carry moves src to dst over the lane until src ends or ctx does.
func (l *lane) carry(ctx context.Context, dst io.Writer, src io.Reader) error {
	onTheWay := l.bytesPerSecond * (3*l.delay + queueTime).Seconds()
	parcels := make(chan parcel, max(minSlots, int(onTheWay/packetBytes)))
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(parcels)
		return l.take(ctx, src, parcels)
	})
	g.Go(func() error {
		for p := range parcels {
			if err := sleepUntil(ctx, p.arrives); err != nil {
				return err
			}
			if _, err := dst.Write(p.data); err != nil {
				return err
			}
		}
		return nil
	})
	return g.Wait()
}

// take reads src as fast as the lane lets it.
func (l *lane) take(ctx context.Context, src io.Reader, parcels chan<- parcel) error {
	buf := make([]byte, chunkBytes)
	for {
		n, err := src.Read(buf)
		if n > 0 {
			left, arrives := l.pass(time.Now(), n)
			select {
			case parcels <- parcel{bytes.Clone(buf[:n]), arrives}:
			case <-ctx.Done():
				return ctx.Err()
			}
			if err := sleepUntil(ctx, left.Add(-queueTime)); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func sleepUntil(ctx context.Context, t time.Time) error {
	wait := time.Until(t)
	if wait <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A link is a wire between two hosts, in the form of a TCP proxy. All
// connections share its two lanes.
type link struct{ there, back *lane }

func newLink(bytesPerSecond float64, roundTrip time.Duration, loss float64) link {
	oneWay := func() *lane {
		return &lane{bytesPerSecond: bytesPerSecond, delay: roundTrip / 2, loss: loss}
	}
	return link{oneWay(), oneWay()}
}

// serve passes the connections of l on to target until ctx ends.
func (k link) serve(ctx context.Context, l net.Listener, target string) error {
	var conns sync.WaitGroup
	defer conns.Wait()
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	for {
		client, err := l.Accept()
		if ctx.Err() != nil {
			closeIf(client)
			return ctx.Err()
		}
		if err != nil {
			return err
		}
		conns.Go(func() { k.connect(ctx, client.(*net.TCPConn), target) })
	}
}

func closeIf(c net.Conn) {
	if c != nil {
		_ = c.Close()
	}
}

// connect carries one connection. The handshake, which the proxy's own system
// has answered at once, costs the round trip that it takes over the link.
func (k link) connect(ctx context.Context, client *net.TCPConn, target string) {
	defer client.Close()
	if sleepUntil(ctx, time.Now().Add(2*k.there.delay)) != nil {
		return
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", target)
	if err != nil {
		return // the client sees its connection closed
	}
	defer conn.Close()
	server := conn.(*net.TCPConn)
	g, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, func() { _ = client.Close(); _ = server.Close() })()
	g.Go(func() error { return oneWay(ctx, k.there, server, client) })
	g.Go(func() error { return oneWay(ctx, k.back, client, server) })
	_ = g.Wait() // both sides have seen the end by now
}

func oneWay(ctx context.Context, l *lane, dst, src *net.TCPConn) error {
	if err := errors.Join(src.SetReadBuffer(proxySocketBytes), dst.SetWriteBuffer(proxySocketBytes)); err != nil {
		return err
	}
	if err := l.carry(ctx, dst, src); err != nil {
		return err
	}
	return dst.CloseWrite()
}

// proxyPart serves a link: listen address, target, bytes a second, round trip,
// loss.
func proxyPart(ctx context.Context, args []string, out io.Writer) error {
	bytesPerSecond, err := strconv.ParseFloat(args[2], 64)
	if err != nil {
		return err
	}
	roundTrip, err := time.ParseDuration(args[3])
	if err != nil {
		return err
	}
	loss, err := strconv.ParseFloat(args[4], 64)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	fmt.Fprintln(out, l.Addr())
	return newLink(bytesPerSecond, roundTrip, loss).serve(ctx, l, args[1])
}
