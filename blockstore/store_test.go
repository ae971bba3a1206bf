package blockstore_test

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/vidsync/vidsync/blockstore"
)

func TestReopen(t *testing.T) {
	dir, files := t.TempDir(), t.TempDir()
	path := write(t, filepath.Join(files, "a.mp4"), noise(1, 3*pieceSize+5))
	s, err := blockstore.Open(dir, blockstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	m := add(t, s, path)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	read(t, s, m.Block(0), 3, noise(1, 3*pieceSize+5)[3*pieceSize:])
	v, err := s.Video(m.CID())
	if err != nil || v.Name != "a.mp4" || v.Size != m.Size() || v.Blocks != 1 || !v.CID.Equals(m.CID()) {
		t.Errorf("video is %+v, %v", v, err)
	}
	got, err := s.Manifest(t.Context(), m.CID())
	if err != nil || got.Block(0) != m.Block(0) {
		t.Errorf("manifest is %v, %v", got, err)
	}
}

func TestInUse(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	if _, err := blockstore.Open(dir, blockstore.Config{}); !errors.Is(err, blockstore.ErrInUse) {
		t.Errorf("second open: %v, want ErrInUse", err)
	}
}

func TestNewerIndexIsRefusedUntouched(t *testing.T) {
	dir := t.TempDir()
	s, err := blockstore.Open(dir, blockstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "FORMAT"), []byte("2\n"))
	before := snapshot(t, dir)
	if _, err := blockstore.Open(dir, blockstore.Config{}); !errors.Is(err, blockstore.ErrNewer) {
		t.Errorf("open: %v, want ErrNewer", err)
	}
	if after := snapshot(t, dir); !maps.Equal(before, after) {
		t.Errorf("files were %v, are %v", before, after)
	}
}

func TestFormatThatIsNoNumberIsRefused(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "FORMAT"), []byte("zwei"))
	if s, err := blockstore.Open(dir, blockstore.Config{}); err == nil {
		t.Error("opened", s.Close())
	}
}

type fileState struct {
	content string
	modTime time.Time
}

func snapshot(t *testing.T, dir string) map[string]fileState {
	t.Helper()
	files := make(map[string]fileState)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		files[path] = fileState{string(content), info.ModTime()}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestRunEndsWithContext(t *testing.T) {
	s := open(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Run: %v", err)
	}
}

func TestAbsent(t *testing.T) {
	s := open(t, t.TempDir())
	c := someCID(t, 1)
	m := manifestOf(t, write(t, filepath.Join(t.TempDir(), "x"), noise(9, 100)))
	_, videoErr := s.Video(c)
	_, nodeErr := s.ManifestNode(c)
	_, manifestErr := s.Manifest(t.Context(), c)
	_, fileErr := s.FileAt("/nowhere")
	_, receiptErr := s.Receipt(c)
	_, receiptOutboardErr := s.ReceiptOutboard(c, m.Block(0))
	_, outboardErr := s.Outboard(m.Block(0).Digest)
	_, jobErr := s.Job("none")
	_, removeErr := s.RemoveVideo(c)
	for name, err := range map[string]error{
		"Video": videoErr, "ManifestNode": nodeErr, "Manifest": manifestErr, "FileAt": fileErr,
		"Receipt": receiptErr, "ReceiptOutboard": receiptOutboardErr, "Outboard": outboardErr, "Job": jobErr,
		"RemoveVideo": removeErr, "ForgetFile": s.ForgetFile("/nowhere"), "CommitReceipt": s.CommitReceipt(c, []blockstore.ReceiptUpdate{{Block: m.Block(0)}}),
		"ReadPiece": readError(s, m.Block(0), 0), "LoadPiece": loadError(s, m.Block(0), 0),
	} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, want fs.ErrNotExist", name, err)
		}
	}
	places, placesErr := s.Places(m.Block(0).Digest)
	files, filesErr := s.Files(c)
	held, holdingsErr := s.Holdings(m)
	if len(places) != 0 || len(files) != 0 || held.Bytes() != 0 {
		t.Errorf("%d places, %d files, %d bytes held of a video that is not here", len(places), len(files), held.Bytes())
	}
	for name, err := range map[string]error{
		"Places": placesErr, "Files": filesErr, "Holdings": holdingsErr, "DropReceipt": s.DropReceipt(c), "RemoveJob": s.RemoveJob("none"),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
