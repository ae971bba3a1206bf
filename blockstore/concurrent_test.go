package blockstore_test

import (
	"bytes"
	"errors"
	"io/fs"
	"path/filepath"
	"sync"
	"testing"

	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

// Readers of more files than are kept open, while every file is forgotten and
// added again: a read gives the right bytes or says that there is no place.
func TestReadsWhileFilesComeAndGo(t *testing.T) {
	s, dir := open(t, t.TempDir()), t.TempDir()
	paths, blocks := make([]string, 40), make([]manifest.Block, 40)
	for i := range paths {
		paths[i] = write(t, filepath.Join(dir, string(rune('A'+i))), noise(byte(i), 1000))
		blocks[i] = add(t, s, paths[i]).Block(0)
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	for reader := range 4 {
		wg.Go(func() {
			for i := reader; ; i++ {
				select {
				case <-done:
					return
				default:
					checkRead(t, s, blocks[i%40], noise(byte(i%40), 1000))
				}
			}
		})
	}
	for _, path := range paths {
		if err := s.ForgetFile(path); err != nil {
			t.Error(err)
		}
		add(t, s, path)
	}
	close(done)
	wg.Wait()
	for i, b := range blocks {
		read(t, s, b, 0, noise(byte(i), 1000))
	}
}

func checkRead(t *testing.T, s *blockstore.Store, b manifest.Block, want []byte) {
	data, _, err := s.ReadPiece(t.Context(), b.Digest, b.Len, 0, make([]byte, pieceSize), nil)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil || !bytes.Equal(data, want) {
		t.Errorf("read: %v", err)
	}
}
