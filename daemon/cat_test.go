package daemon

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/manifest"
)

// slowPair is a node that gives a video slowly and one that may have it.
func slowPair(t *testing.T) (a, b *Node, m *manifest.Manifest, data []byte, addr string) {
	t.Helper()
	a, b = runningNode(t), runningNode(t)
	_, data, m = addRandom(t, a, 8*manifest.PieceSize)
	if _, err := a.Limit(t.Context(), api.LimitRequest{Up: new("500K")}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.AddPeer(t.Context(), api.AddPeerRequest{Addr: b.self.String()}); err != nil {
		t.Fatal(err)
	}
	id, err := a.ID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return a, b, m, data, id.Addrs[0]
}

// A reader that is done or gone takes the fetch with it; what came stays.
func TestFetchForReadingEndsWithItsReaders(t *testing.T) {
	t.Parallel() // it mostly waits
	a, b, m, data, addr := slowPair(t)
	gone := errors.New("gone")
	r, w := io.Pipe()
	r.CloseWithError(gone)
	req := api.CatRequest{Ref: m.CID().String(), Length: -1, Peers: []string{addr}}
	if err := b.Cat(t.Context(), req, w); !errors.Is(err, gone) {
		t.Fatalf("cat: %v", err)
	}
	if jobs, err := b.Jobs(t.Context()); err != nil || len(jobs) != 0 {
		t.Errorf("without readers there are jobs %+v, %v", jobs, err)
	}
	receipt, err := b.store.Receipt(m.CID())
	if err != nil || receipt.Masks[0] == 0 || receipt.Masks[0] == 0xff {
		t.Errorf("kept: %b, %v", receipt.Masks, err)
	}
	if _, err := a.Limit(t.Context(), api.LimitRequest{Reset: true}); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := b.Cat(t.Context(), req, &got); err != nil || !bytes.Equal(got.Bytes(), data) {
		t.Errorf("the next reader got %d bytes, %v", got.Len(), err)
	}
}

// Who asked for the whole video gets it, whatever becomes of a reader.
func TestFetchOutlivesReaders(t *testing.T) {
	t.Parallel() // it mostly waits
	a, b, m, _, addr := slowPair(t)
	read := make(chan error, 1)
	go func() {
		read <- b.Cat(t.Context(), api.CatRequest{Ref: m.CID().String(), Length: manifest.PieceSize, Peers: []string{addr}}, io.Discard)
	}()
	for b.jobs.task(jobID(kindFetch, m.CID())) == nil {
		time.Sleep(time.Millisecond)
	}
	if _, err := b.Fetch(t.Context(), api.FetchRequest{Ref: m.CID().String(), Detach: true}, nil); err != nil {
		t.Fatal(err)
	}
	if err := <-read; err != nil {
		t.Fatal(err)
	}
	if b.jobs.task(jobID(kindFetch, m.CID())) == nil {
		t.Fatal("the fetch ended with the reader")
	}
	if _, err := a.Limit(t.Context(), api.LimitRequest{Reset: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Fetch(t.Context(), api.FetchRequest{Ref: m.CID().String()}, nil); err != nil {
		t.Error(err)
	}
}

// Limits hold for what leaves and for what comes.
func TestLimitsHold(t *testing.T) {
	t.Parallel() // it mostly waits
	for _, direction := range []string{"up", "down"} {
		a, b, m, _, addr := slowPair(t)
		if _, err := a.Limit(t.Context(), api.LimitRequest{Reset: true}); err != nil {
			t.Fatal(err)
		}
		slow, req := a, api.LimitRequest{Up: new("4M")}
		if direction == "down" {
			slow, req = b, api.LimitRequest{Down: new("4M")}
		}
		if _, err := slow.Limit(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err := b.Fetch(t.Context(), api.FetchRequest{Ref: m.CID().String(), Peers: []string{addr}}, nil); err != nil {
			t.Fatal(err)
		}
		// 8.4 MB, of which an eighth of a second's may pass at once.
		if took := time.Since(start); took < 1800*time.Millisecond {
			t.Errorf("%s: 8.4 MB at 4 MB/s took %v", direction, took)
		}
	}
}

// A fetch that ran out of time says what was wrong with those it asked.
func TestTimeoutNamesProviders(t *testing.T) {
	t.Parallel() // it mostly waits
	a, b := runningNode(t), runningNode(t)
	_, _, m := addRandom(t, a, 10)
	id, err := a.ID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	req := api.FetchRequest{Ref: m.CID().String(), Peers: []string{id.Addrs[0]}, Timeout: time.Second}
	_, err = b.Fetch(t.Context(), req, nil)
	if api.CodeOf(err) != api.CodeUnavailable || !strings.Contains(err.Error(), "refused by "+a.self.String()) {
		t.Errorf("fetch: %v", err)
	}
}
