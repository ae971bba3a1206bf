package protocol_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sync/errgroup"

	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol"
)

func onEachTransport(t *testing.T, test func(t *testing.T, transport string)) {
	for name := range transports {
		t.Run(name, func(t *testing.T) { test(t, name) })
	}
}

func TestManifest(t *testing.T) {
	videos := map[string]*video{
		"empty": splitVideo(t, 0, nil, nil),
		"small": splitVideo(t, 8, []byte("vidsync\n"), nil),
		"tree": splitVideo(t, (manifest.MaxLinks+2)*manifest.BlockSize, nil,
			func(int64, int64) bool { return true }),
	}
	onEachTransport(t, func(t *testing.T, transport string) {
		for name, v := range videos {
			t.Run(name, func(t *testing.T) {
				server, client := newHosts(t, transport)
				serve(t, server, protocol.ServerConfig{Library: newLibrary(v)})
				r := protocol.NewRemote(client, server.ID(), v.manifest.CID(), []byte(capability), protocol.ClientConfig{})
				m, err := r.Manifest(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if m.CID() != v.manifest.CID() || m.Size() != v.manifest.Size() || m.NumBlocks() != v.manifest.NumBlocks() {
					t.Errorf("got manifest %s of %d bytes", m.CID(), m.Size())
				}
			})
		}
	})
}

// checkPiece fetches one piece and verifies it.
func checkPiece(ctx context.Context, r *protocol.Remote, v *video, block, piece int) error {
	data, proof, release, err := r.Get(ctx, block, piece)
	if err != nil {
		return err
	}
	defer release()
	b := v.manifest.Block(block)
	if err := manifest.CheckPiece(b.Digest, b.Len, piece, data, proof); err != nil {
		return err
	}
	if !bytes.Equal(data, v.piece(block, piece)) {
		return errors.New("wrong piece")
	}
	if at := uintptr(unsafe.Pointer(&data[0])); at%4096 != 0 || cap(data) != manifest.PieceSize {
		return fmt.Errorf("data at %#x with room for %d", at, cap(data))
	}
	return nil
}

func TestPieces(t *testing.T) {
	v := smallVideo(t)
	onEachTransport(t, func(t *testing.T, transport string) {
		for _, streams := range []int{1, 3} {
			t.Run(fmt.Sprint(streams), func(t *testing.T) {
				server, client := newHosts(t, transport)
				serve(t, server, protocol.ServerConfig{Library: newLibrary(v)})
				r := run(t, client, server.ID(), v.manifest, protocol.ClientConfig{DataStreams: streams})
				g, ctx := errgroup.WithContext(t.Context())
				for i := range 2 * 35 {
					g.Go(func() error { return checkPiece(ctx, r.Remote, v, i%35/32, i%35%32) })
				}
				if err := g.Wait(); err != nil {
					t.Error(err)
				}
				if err := r.stop(); !errors.Is(err, context.Canceled) {
					t.Errorf("run ended with %v", err)
				}
			})
		}
	})
}

func TestManyRequests(t *testing.T) {
	v := splitVideo(t, 8, []byte("vidsync\n"), nil)
	server, client := newHosts(t, "tcp")
	serve(t, server, protocol.ServerConfig{Library: newLibrary(v)})
	r := run(t, client, server.ID(), v.manifest, protocol.ClientConfig{Buffers: protocol.NewBuffers(200)})
	var left atomic.Int64
	left.Store(20_000)
	g, ctx := errgroup.WithContext(t.Context())
	for range 200 { // more than may be outstanding
		g.Go(func() error {
			for left.Add(-1) >= 0 {
				if err := checkPiece(ctx, r.Remote, v, 0, 0); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

func TestGetErrors(t *testing.T) {
	v := smallVideo(t)
	lib := newLibrary(v)
	lib.change(func(h *manifest.Holdings) { h.Remove(0, 1<<5) })
	lib.pieceHook = func(_ context.Context, block, piece int) error {
		switch piece {
		case 6:
			return fmt.Errorf("read: %w", protocol.ErrChanged)
		case 7:
			return manifest.ErrCorrupt
		case 8:
			return errors.New("disk on fire")
		}
		return nil
	}
	server, client := newHosts(t, "tcp")
	serve(t, server, protocol.ServerConfig{Library: lib})
	r := run(t, client, server.ID(), v.manifest, protocol.ClientConfig{})
	for _, test := range []struct {
		block, piece int
		want         error
	}{
		{0, 5, fs.ErrNotExist},
		{0, 6, protocol.ErrChanged},
		{0, 6, fs.ErrNotExist},
		{0, 7, protocol.ErrChanged},
	} {
		if err := checkPiece(t.Context(), r.Remote, v, test.block, test.piece); !errors.Is(err, test.want) {
			t.Errorf("piece %d: got %v, want %v", test.piece, err, test.want)
		}
	}
	for _, at := range [][2]int{{0, 8}, {0, 32}, {0, -1}, {1, 3}, {2, 0}, {-1, 0}} {
		err := checkPiece(t.Context(), r.Remote, v, at[0], at[1])
		if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, protocol.ErrClosed) {
			t.Errorf("piece %v: got %v", at, err)
		}
	}
	if err := checkPiece(t.Context(), r.Remote, v, 0, 9); err != nil {
		t.Errorf("after errors: %v", err)
	}
}

func TestCancel(t *testing.T) {
	v := smallVideo(t)
	lib := newLibrary(v)
	var served atomic.Int64
	entered, proceed := make(chan struct{}, 100), make(chan struct{})
	lib.pieceHook = func(ctx context.Context, _, _ int) error {
		served.Add(1)
		entered <- struct{}{}
		select {
		case <-proceed:
		case <-ctx.Done():
		}
		return nil
	}
	server, client := newHosts(t, "tcp")
	serve(t, server, protocol.ServerConfig{Library: lib})
	r := run(t, client, server.ID(), v.manifest, protocol.ClientConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	var g errgroup.Group
	for i := range 20 {
		g.Go(func() error { return checkPiece(ctx, r.Remote, v, 0, i) })
	}
	<-entered // the server works on the first and the others wait
	cancel()
	if err := g.Wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	time.Sleep(time.Second) // for the cancels to arrive; later ones cost the server a read
	close(proceed)
	for i := range 20 {
		if err := checkPiece(t.Context(), r.Remote, v, 0, i); err != nil {
			t.Fatalf("after cancel: %v", err)
		}
	}
	if n := served.Load(); n > 30 {
		t.Errorf("the server read %d pieces for 21 that were wanted", n)
	}
}

func TestCancelRandomly(t *testing.T) {
	v := smallVideo(t)
	server, client := newHosts(t, "tcp")
	serve(t, server, protocol.ServerConfig{Library: newLibrary(v)})
	r := run(t, client, server.ID(), v.manifest, protocol.ClientConfig{DataStreams: 2})
	var g errgroup.Group
	for w := range 8 {
		g.Go(func() error {
			for i := range 60 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration((w*60+i)%17)*time.Millisecond)
				err := checkPiece(ctx, r.Remote, v, 0, (w+i)%32)
				cancel()
				if err != nil && !errors.Is(err, context.DeadlineExceeded) {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	if err := checkPiece(t.Context(), r.Remote, v, 0, 3); err != nil {
		t.Error(err)
	}
}

func TestServerRestart(t *testing.T) {
	v := smallVideo(t)
	lib := newLibrary(v)
	entered := make(chan struct{}, 1)
	lib.pieceHook = func(ctx context.Context, _, piece int) error {
		if piece == 13 {
			entered <- struct{}{}
			<-ctx.Done()
		}
		return nil
	}
	server, client := newHosts(t, "tcp")
	stop := serve(t, server, protocol.ServerConfig{Library: lib})
	r := run(t, client, server.ID(), v.manifest, protocol.ClientConfig{})
	if err := checkPiece(t.Context(), r.Remote, v, 0, 1); err != nil {
		t.Fatal(err)
	}
	var g errgroup.Group
	for range 3 {
		g.Go(func() error {
			if err := checkPiece(t.Context(), r.Remote, v, 0, 13); !errors.Is(err, protocol.ErrClosed) {
				return fmt.Errorf("get during stop: %v", err)
			}
			return nil
		})
	}
	<-entered
	stop()
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	if err := r.wait(); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("run ended with %v", err)
	}
	if err := checkPiece(t.Context(), r.Remote, v, 0, 1); !errors.Is(err, protocol.ErrClosed) {
		t.Errorf("get after the end: %v", err)
	}
	serve(t, server, protocol.ServerConfig{Library: lib})
	again := run(t, client, server.ID(), v.manifest, protocol.ClientConfig{})
	if err := checkPiece(t.Context(), again.Remote, v, 0, 1); err != nil {
		t.Errorf("after restart: %v", err)
	}
}

func TestRefused(t *testing.T) {
	v := smallVideo(t)
	lib := newLibrary(v)
	server, client := newHosts(t, "tcp")
	serve(t, server, protocol.ServerConfig{Library: lib})
	other := splitVideo(t, 3, []byte("no\n"), nil)
	for name, m := range map[string]*manifest.Manifest{"present": v.manifest, "absent": other.manifest} {
		r := protocol.NewRemote(client, server.ID(), m.CID(), []byte("wrong"), protocol.ClientConfig{})
		if _, err := r.Manifest(t.Context()); !errors.Is(err, protocol.ErrRefused) {
			t.Errorf("%s: manifest: %v", name, err)
		}
		r.SetManifest(m)
		if err := r.Run(t.Context(), func(int, uint32) {}); !errors.Is(err, protocol.ErrRefused) {
			t.Errorf("%s: run: %v", name, err)
		}
		if _, _, _, err := r.Get(t.Context(), 0, 0); !errors.Is(err, protocol.ErrRefused) {
			t.Errorf("%s: get: %v", name, err)
		}
	}
	if lib.calls != 0 {
		t.Errorf("the library was asked %d times for strangers", lib.calls)
	}
}

func TestNobodyIsAuthorisedByDefault(t *testing.T) {
	v := splitVideo(t, 3, []byte("no\n"), nil)
	server, client := newHosts(t, "tcp")
	s := protocol.NewServer(server, protocol.ServerConfig{Library: newLibrary(v)})
	ctx, cancel := context.WithCancel(t.Context())
	var g errgroup.Group
	g.Go(func() error { return s.Run(ctx) })
	eventually(t, "handlers set", func() bool { return serving(server) })
	r := protocol.NewRemote(client, server.ID(), v.manifest.CID(), nil, protocol.ClientConfig{})
	if _, err := r.Manifest(t.Context()); !errors.Is(err, protocol.ErrRefused) {
		t.Errorf("got %v", err)
	}
	cancel()
	if err := g.Wait(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestNotFound(t *testing.T) {
	v := smallVideo(t)
	server, client := newHosts(t, "tcp")
	serve(t, server, protocol.ServerConfig{Library: newLibrary(v)})
	other := splitVideo(t, 3, []byte("no\n"), nil)
	r := protocol.NewRemote(client, server.ID(), other.manifest.CID(), []byte(capability), protocol.ClientConfig{})
	if _, err := r.Manifest(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("manifest: %v", err)
	}
	r.SetManifest(other.manifest)
	if err := r.Run(t.Context(), func(int, uint32) {}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("run: %v", err)
	}
}

func TestRunNeedsManifest(t *testing.T) {
	client := newHost(t, "tcp")
	r := protocol.NewRemote(client, client.ID(), otherVideo(t), nil, protocol.ClientConfig{})
	if err := r.Run(t.Context(), func(int, uint32) {}); err == nil {
		t.Error("run without a manifest returned nil")
	}
}

func TestGetWaitsForRunOrContext(t *testing.T) {
	v := smallVideo(t)
	server, client := newHosts(t, "tcp")
	r := protocol.NewRemote(client, server.ID(), v.manifest.CID(), nil, protocol.ClientConfig{})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, _, _, err := r.Get(ctx, 0, 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestBusyStreams(t *testing.T) {
	v := smallVideo(t)
	server, client := newHosts(t, "tcp")
	serve(t, server, protocol.ServerConfig{Library: newLibrary(v), StreamsPerPeer: 3})
	first := run(t, client, server.ID(), v.manifest, protocol.ClientConfig{})
	eventually(t, "first runs", func() bool { return first.updates() == 2 })
	second := run(t, client, server.ID(), v.manifest, protocol.ClientConfig{})
	if err := second.wait(); !errors.Is(err, protocol.ErrBusy) {
		t.Errorf("second run: %v", err)
	}
	if err := first.stop(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	eventually(t, "places are given back", func() bool {
		third := run(t, client, server.ID(), v.manifest, protocol.ClientConfig{})
		return checkPiece(t.Context(), third.Remote, v, 0, 0) == nil
	})
}

func TestBusyBuffers(t *testing.T) {
	v := smallVideo(t)
	lib := newLibrary(v)
	entered := make(chan struct{}, 1)
	lib.pieceHook = func(ctx context.Context, _, piece int) error {
		if piece == 0 {
			entered <- struct{}{}
			<-ctx.Done()
		}
		return nil
	}
	server, client := newHosts(t, "tcp")
	serve(t, server, protocol.ServerConfig{Library: lib, ServingPieces: 1, BusyAfter: 20 * time.Millisecond})
	slow := run(t, client, server.ID(), v.manifest, protocol.ClientConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	var g errgroup.Group
	g.Go(func() error { return checkPiece(ctx, slow.Remote, v, 0, 0) })
	<-entered
	other := run(t, client, server.ID(), v.manifest, protocol.ClientConfig{})
	if err := checkPiece(t.Context(), other.Remote, v, 0, 1); !errors.Is(err, protocol.ErrBusy) {
		t.Errorf("got %v", err)
	}
	cancel()
	if err := g.Wait(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	_ = slow.stop() // frees the buffer
	eventually(t, "buffer is free", func() bool {
		return checkPiece(t.Context(), other.Remote, v, 0, 1) == nil
	})
}

func TestReportBad(t *testing.T) {
	v := smallVideo(t)
	lib := newLibrary(v)
	server, client := newHosts(t, "tcp")
	serve(t, server, protocol.ServerConfig{Library: lib})
	r := protocol.NewRemote(client, server.ID(), v.manifest.CID(), []byte(capability), protocol.ClientConfig{})
	for range 20 {
		if err := r.ReportBad(t.Context(), 1, 2); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.ReportBad(t.Context(), 1, 3); err != nil {
		t.Errorf("report of a piece that is not there: %v", err)
	}
	if got := lib.reports(); len(got) != 1 || got[0] != [2]int{1, 2} {
		t.Errorf("reports %v, want one of piece 2 of block 1", got)
	}
}

func TestReleaseTwice(t *testing.T) {
	v := smallVideo(t)
	server, client := newHosts(t, "tcp")
	serve(t, server, protocol.ServerConfig{Library: newLibrary(v)})
	r := run(t, client, server.ID(), v.manifest, protocol.ClientConfig{Buffers: protocol.NewBuffers(4)})
	data, _, release, err := r.Get(t.Context(), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	release()
	release()
	a, _, releaseA, err := r.Get(t.Context(), 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	b, _, releaseB, err := r.Get(t.Context(), 0, 2)
	if err != nil {
		t.Fatal(err)
	}
	if &a[0] != &data[0] {
		t.Error("the released buffer was not used again")
	}
	if &a[0] == &b[0] {
		t.Error("one buffer was handed out twice")
	}
	releaseA()
	releaseB()
}
