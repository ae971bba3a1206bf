package daemon

import (
	"bytes"
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/assemble"
	"github.com/vidsync/vidsync/exchange"
	"github.com/vidsync/vidsync/manifest"
)

// A block that the video has twice comes from peers once.
func TestExchangeHearsOfRepeatedBlocks(t *testing.T) {
	n := testNode(t)
	block := make([]byte, manifest.BlockSize)
	rand.NewChaCha8([32]byte{1}).Read(block)
	var proofs manifest.Outboard
	m, err := manifest.Split(t.Context(), bytes.NewReader(append(block, block...)), 2*manifest.BlockSize, manifest.SplitConfig{
		Block: func(_ manifest.Block, o manifest.Outboard) error { proofs = o; return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.store.PutManifest(m); err != nil {
		t.Fatal(err)
	}
	file, err := assemble.Open(t.Context(), n.store, m, assemble.Target{Dir: t.TempDir(), Name: "talk.mp4"}, assemble.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	have, _ := file.Holdings()
	x := exchange.New(m.Size(), have, file, exchange.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { file.Run(ctx) })
	wg.Go(func() { tellHave(ctx, file, x) })
	for piece := range manifest.PiecesPerBlock {
		data := block[piece*manifest.PieceSize : (piece+1)*manifest.PieceSize]
		if err := file.Put(t.Context(), 0, piece, data, proofs.AppendProof(nil, manifest.BlockSize, piece)); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.Run(t.Context(), make(chan exchange.Peer)); err != nil { // with no peer at all
		t.Error(err)
	}
}

// A piece that cannot be read although its fetch is over ends a cat.
func TestReadAfterTheFetch(t *testing.T) {
	n := testNode(t)
	over := newTask(testJobOf(testVideo(t, 1)))
	close(over.done)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	r := reader{node: n, m: testVideo(t, 1), task: over, buf: make([]byte, manifest.PieceSize)}
	if _, _, err := r.piece(ctx, 0); api.CodeOf(err) != api.CodeNotFound {
		t.Errorf("read: %v", err)
	}
	if _, err := n.awaitManifest(ctx, testVideo(t, 1).CID(), over); api.CodeOf(err) != api.CodeNotFound {
		t.Errorf("manifest: %v", err)
	}
}
