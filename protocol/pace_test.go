package protocol_test

import (
	"context"
	"io"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protodelim"

	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol"
	"github.com/vidsync/vidsync/protocol/internal/wire"
)

// tap is a Pacer that lets pass what the test has allowed, and no byte more.
type tap struct {
	mu      sync.Mutex
	allowed int
	passed  int
	changed chan struct{}
}

func newTap() *tap { return &tap{changed: make(chan struct{})} }

func (p *tap) allow(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.allowed += n
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *tap) take(n int) (ok bool, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.allowed < n {
		return false, p.changed
	}
	p.allowed -= n
	p.passed += n
	return true, nil
}

func (p *tap) total() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.passed
}

func (p *tap) WaitN(ctx context.Context, n int) error {
	for {
		ok, changed := p.take(n)
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// No byte of a piece leaves before the Pacer lets it, and nothing else is
// counted. Deadlines do not run meanwhile.
func TestUpIsPaced(t *testing.T) {
	v := smallVideo(t)
	server, client := newHosts(t, "tcp")
	up := newTap()
	const timeout = 2 * time.Second
	serve(t, server, protocol.ServerConfig{Library: newLibrary(v), Up: up, Timeout: timeout, StandstillAfter: timeout})
	s := openRaw(t, client, server.ID(), protocol.PiecesID)
	in := openedPieces(t, s, v)
	if _, err := s.Write(encode(t, getRequest(1, 0, 3), getRequest(2, 1, 2))); err != nil {
		t.Fatal(err)
	}
	read := make(chan byte, 2*manifest.PieceSize)
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	wg.Go(func() {
		defer close(read)
		for {
			b, err := in.ReadByte()
			if err != nil {
				return
			}
			read <- b
		}
	})
	t.Cleanup(func() { _ = s.Reset() })
	time.Sleep(timeout + timeout/2)
	if n := len(read); n > 0 {
		t.Errorf("%d bytes came before any was allowed", n)
	}
	const header = 400 // is longer than a header with its proof
	up.allow(200_000)
	eventually(t, "as many pass as may", func() bool { return up.total() > 100_000 })
	time.Sleep(timeout + timeout/2)
	if n, most := len(read), up.total()+header; n > most {
		t.Errorf("%d bytes came, at most %d were allowed", n, most)
	}
	up.allow(2 * manifest.PieceSize)
	last := manifest.PieceLen(v.manifest.Block(1).Len, 2)
	eventually(t, "both pieces", func() bool { return up.total() == manifest.PieceSize+last })
	var a wire.PieceAnswer
	if err := protodelim.UnmarshalFrom(channelReader{read}, &a); err != nil || a.Id != 1 || a.Status != wire.Status_STATUS_OK {
		t.Fatalf("answer %v, %v", &a, err)
	}
	data := make([]byte, a.Size)
	if _, err := io.ReadFull(channelReader{read}, data); err != nil || string(data) != string(v.piece(0, 3)) {
		t.Errorf("wrong piece, %v", err)
	}
}

// channelReader reads the bytes of a channel.
type channelReader struct{ c <-chan byte }

func (r channelReader) ReadByte() (byte, error) {
	b, ok := <-r.c
	if !ok {
		return 0, io.ErrUnexpectedEOF
	}
	return b, nil
}

func (r channelReader) Read(dst []byte) (n int, err error) {
	for n < len(dst) && err == nil {
		if dst[n], err = r.ReadByte(); err == nil {
			n++
		}
	}
	return n, err
}

// A client takes pieces as fast as its Pacer lets it, those that nobody wants
// any more included.
func TestDownIsPaced(t *testing.T) {
	v := smallVideo(t)
	server, client := newHosts(t, "tcp")
	serve(t, server, protocol.ServerConfig{Library: newLibrary(v)})
	down := newTap()
	const timeout = 2 * time.Second
	r := run(t, client, server.ID(), v.manifest, protocol.ClientConfig{Down: down, Timeout: timeout, DataStreams: 1})
	ctx, cancel := context.WithCancel(t.Context())
	down.allow(500_000)
	given := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() { given <- checkPiece(ctx, r.Remote, v, 0, 1) })
	eventually(t, "as many pass as may", func() bool { return down.total() > 200_000 })
	time.Sleep(timeout + timeout/2)
	if len(given) > 0 {
		t.Errorf("the piece came after %d bytes: %v", down.total(), <-given)
	}
	cancel()
	wg.Wait()
	down.allow(2 * manifest.PieceSize)
	if err := checkPiece(t.Context(), r.Remote, v, 0, 2); err != nil {
		t.Error(err)
	}
	if got := down.total(); got != 2*manifest.PieceSize {
		t.Errorf("%d bytes were counted, want those of two pieces", got)
	}
}
