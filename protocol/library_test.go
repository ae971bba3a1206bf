package protocol_test

import (
	"bytes"
	"context"
	"io/fs"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/vidsync/vidsync/manifest"
)

// library serves one video from memory.
type library struct {
	*video

	// pieceHook, if set, runs before each read of a piece.
	pieceHook func(ctx context.Context, block, piece int) error

	mu      sync.Mutex
	held    *manifest.Holdings
	changed chan struct{}
	gone    bool
	silent  bool // nobody is told of changes
	calls   int
	bad     [][2]int
}

// video is a video's bytes with all that was found when it was split.
type video struct {
	manifest  *manifest.Manifest
	nodes     map[cid.Cid][]byte
	data      []byte
	outboards []manifest.Outboard
}

func newLibrary(v *video) *library {
	return &library{video: v, held: manifest.AllHoldings(v.manifest.Size()), changed: make(chan struct{})}
}

func (l *library) called() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
}

// served is how often the library was asked for anything.
func (l *library) served() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.calls
}

func (l *library) ManifestNode(_ context.Context, video cid.Cid, path []int) ([]byte, error) {
	l.called()
	if video != l.manifest.CID() {
		return nil, fs.ErrNotExist
	}
	node := l.nodes[video]
	for _, index := range path {
		child, err := manifest.Child(node, index)
		if err != nil {
			return nil, fs.ErrNotExist
		}
		node = l.nodes[child]
	}
	return node, nil
}

func (l *library) Holdings(video cid.Cid) (*manifest.Holdings, <-chan struct{}, error) {
	l.called()
	l.mu.Lock()
	defer l.mu.Unlock()
	if video != l.manifest.CID() || l.gone {
		return nil, nil, fs.ErrNotExist
	}
	if l.silent {
		return l.held.Clone(), nil, nil
	}
	return l.held.Clone(), l.changed, nil
}

func (l *library) Piece(ctx context.Context, video cid.Cid, block, piece int, buf, proof []byte) ([]byte, []byte, error) {
	l.called()
	if l.pieceHook != nil {
		if err := l.pieceHook(ctx, block, piece); err != nil {
			return nil, nil, err
		}
	}
	l.mu.Lock()
	has := l.held.Has(block, piece)
	l.mu.Unlock()
	if !has {
		return nil, nil, fs.ErrNotExist
	}
	n := copy(buf, l.piece(block, piece))
	return buf[:n], l.proof(proof, block, piece), nil
}

func (l *library) BadPiece(_ cid.Cid, block, piece int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bad = append(l.bad, [2]int{block, piece})
}

func (l *library) reports() [][2]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([][2]int(nil), l.bad...)
}

// change lets edit alter what is held, and tells those who wait for it.
func (l *library) change(edit func(h *manifest.Holdings)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	edit(l.held)
	close(l.changed)
	l.changed = make(chan struct{})
}

func (v *video) piece(block, piece int) []byte {
	b := v.manifest.Block(block)
	start := b.Offset + int64(piece)*manifest.PieceSize
	return v.data[start : start+int64(manifest.PieceLen(b.Len, piece))]
}

func (v *video) proof(dst []byte, block, piece int) []byte {
	return v.outboards[block].AppendProof(dst, v.manifest.Block(block).Len, piece)
}

func splitVideo(t testing.TB, size int64, data []byte, hole func(offset, n int64) bool) *video {
	t.Helper()
	v := &video{data: data, nodes: make(map[cid.Cid][]byte), outboards: make([]manifest.Outboard, manifest.NumBlocks(size))}
	m, err := manifest.Split(t.Context(), bytes.NewReader(data), size, manifest.SplitConfig{
		Hole: hole,
		Block: func(b manifest.Block, o manifest.Outboard) error {
			v.outboards[b.Index] = o
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	v.manifest = m
	for node, err := range m.Nodes() {
		if err != nil {
			t.Fatal(err)
		}
		v.nodes[node.CID] = node.Data
	}
	return v
}

// smallVideo has two blocks: a full one, and one of three pieces whose last
// is odd.
func smallVideo(t testing.TB) *video {
	data := make([]byte, manifest.BlockSize+2*manifest.PieceSize+12345)
	fill := rand.NewChaCha8([32]byte{1})
	if _, err := fill.Read(data); err != nil {
		t.Fatal(err)
	}
	return splitVideo(t, int64(len(data)), data, nil)
}

// authorizer lets everyone in whose request has its capability.
type authorizer string

func (a authorizer) Authorize(_ peer.ID, _ cid.Cid, capability []byte) (time.Time, error) {
	if string(capability) != string(a) {
		return time.Time{}, fs.ErrPermission
	}
	return time.Time{}, nil
}

const capability = authorizer("open sesame")
