package protocol_test

import (
	"io"
	"io/fs"
	"sync"
	"testing"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	corep2p "github.com/libp2p/go-libp2p/core/protocol"
)

// trusted is a list of peers that are trusted as a whole.
type trusted struct {
	mu    sync.Mutex
	peers map[peer.ID]bool
}

func trust(hosts ...host.Host) *trusted {
	t := &trusted{peers: make(map[peer.ID]bool)}
	for _, h := range hosts {
		t.peers[h.ID()] = true
	}
	return t
}

func (t *trusted) AuthorizePeer(p peer.ID) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.peers[p] {
		return fs.ErrPermission
	}
	return nil
}

func (t *trusted) revoke(p peer.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.peers, p)
}

// answerTo sends bytes on a new stream and returns all that is answered.
func answerTo(t testing.TB, h host.Host, p peer.ID, id corep2p.ID, request []byte) ([]byte, error) {
	t.Helper()
	s := openRaw(t, h, p, id)
	if _, err := s.Write(request); err != nil {
		t.Fatal(err)
	}
	return io.ReadAll(s)
}
