package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vidsync/vidsync/internal/rig"
)

const (
	drainWarmup = 2 * time.Second // until queues are full and windows open
	drainTime   = 4 * time.Second
)

// senderPart sends zeros to whoever connects to args[0].
func senderPart(ctx context.Context, args []string, out io.Writer) error {
	l, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	fmt.Fprintln(out, l.Addr())
	buf := make([]byte, mib)
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		for err == nil {
			_, err = conn.Write(buf)
		}
		_ = conn.Close()
	}
}

// drainPart reads from all addresses at once and prints how many bytes a
// second came.
func drainPart(ctx context.Context, args []string, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, drainWarmup+drainTime)
	defer cancel()
	var total atomic.Int64
	g, gctx := errgroup.WithContext(ctx)
	for _, addr := range args {
		g.Go(func() error { return drain(gctx, addr, &total) })
	}
	g.Go(func() error {
		if err := sleepUntil(gctx, time.Now().Add(drainWarmup)); err != nil {
			return err
		}
		before, started := total.Load(), time.Now()
		<-gctx.Done()
		fmt.Fprintln(out, float64(total.Load()-before)/time.Since(started).Seconds())
		return nil
	})
	if err := g.Wait(); !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return err
	}
	return nil
}

// drain reads from one address, a TCP address or the multiaddr of a streamPart.
func drain(ctx context.Context, addr string, total *atomic.Int64) error {
	src, err := open(ctx, addr)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = src.Close() })()
	buf := make([]byte, 256<<10)
	for {
		n, err := src.Read(buf)
		total.Add(int64(n))
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func open(ctx context.Context, addr string) (io.ReadCloser, error) {
	if !strings.HasPrefix(addr, "/") {
		return new(net.Dialer).DialContext(ctx, "tcp", addr)
	}
	h, err := newHost(stock())
	if err != nil {
		return nil, err
	}
	s, err := openStream(ctx, h, addr)
	if err == nil {
		err = ask(s, math.MaxInt64)
	}
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return hostStream{s, h}, nil
}

// hostStream is a stream that is closed together with its host.
type hostStream struct {
	io.Reader
	host io.Closer
}

func (s hostStream) Close() error { return s.host.Close() }

// carried is how many Mbit/s come from all addresses together: what the links
// give in this run to plain TCP, or to libp2p.
func (b *bench) carried(ctx context.Context, to rig.Place, addrs ...string) (float64, error) {
	c, line, err := b.startChild(ctx, to.Prefix, append([]string{"drain"}, addrs...)...)
	if err != nil {
		return 0, err
	}
	c.end()
	bytesPerSecond, err := strconv.ParseFloat(line, 64)
	return bytesPerSecond * 8 / 1e6, err
}
