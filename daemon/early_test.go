package daemon_test

import (
	"bytes"
	"sync"
	"testing"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	corep2p "github.com/libp2p/go-libp2p/core/protocol"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/protocol"
)

// silentHost counts the streams of each protocol that it is asked on, never
// answers, and sends what is taken on the streams for holdings and pieces.
type silentHost struct {
	host.Host

	mu      sync.Mutex
	changed *sync.Cond
	streams map[corep2p.ID]int // so far
	open    int
}

func newSilentHost(t *testing.T) *silentHost {
	s := &silentHost{Host: plainHost(t), streams: map[corep2p.ID]int{}}
	s.changed = sync.NewCond(&s.mu)
	for _, id := range []corep2p.ID{protocol.ManifestID, protocol.HoldingsID, protocol.PiecesID} {
		s.SetStreamHandler(id, func(st network.Stream) {
			s.count(id, 1)
			defer s.count(id, -1)
			defer st.Reset()
			for buf := make([]byte, 4096); ; {
				use := st.Read
				if id != protocol.ManifestID {
					use = st.Write
				}
				if _, err := use(buf); err != nil {
					return
				}
			}
		})
	}
	return s
}

func (s *silentHost) count(id corep2p.ID, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open += n
	s.streams[id] += max(n, 0)
	s.changed.Broadcast()
}

// await waits until it is so.
func (s *silentHost) await(so func() bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !so() {
		s.changed.Wait()
	}
}

// Peers that let streams be opened and tell no manifest hold up neither a reader
// nor a fetch, and their streams end with it. Of strangers no more is opened than
// the manifest's.
func TestSilentPeersAreBegunWith(t *testing.T) {
	a, b := startNode(t), startNode(t)
	path, data := randomFile(t, "talk.mp4", 3*mib, 61)
	added := a.add(t, path)
	a.trusts(t, b)
	named, stranger := newSilentHost(t), newSilentHost(t)
	dial(t, named, b)
	dial(t, stranger, b)
	var got bytes.Buffer
	read := make(chan error, 1)
	silent := named.Addrs()[0].String() + "/p2p/" + named.ID().String()
	go func() {
		read <- b.Cat(t.Context(), api.CatRequest{Ref: added.CID, Length: -1, Peers: []string{silent}}, &got)
	}()
	named.await(func() bool { return named.streams[protocol.PiecesID] == 2 && named.streams[protocol.HoldingsID] == 1 })
	stranger.await(func() bool { return stranger.streams[protocol.ManifestID] == 1 })
	if _, err := b.Fetch(t.Context(), api.FetchRequest{Ref: added.CID, Peers: []string{a.addr(t)}}, nil); err != nil {
		t.Fatal(err)
	}
	if err := <-read; err != nil || !bytes.Equal(got.Bytes(), data) {
		t.Errorf("cat gave %d bytes, %v", got.Len(), err)
	}
	named.await(func() bool { return named.open == 0 })
	stranger.await(func() bool { return stranger.open == 0 })
	if n := stranger.streams[protocol.HoldingsID] + stranger.streams[protocol.PiecesID]; n != 0 {
		t.Errorf("%d streams more than the manifest's were opened to a stranger", n)
	}
}
