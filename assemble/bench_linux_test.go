package assemble_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vidsync/vidsync/assemble"
	"github.com/vidsync/vidsync/manifest"
)

const (
	benchSize    = 256 << 20
	benchWriters = 2
)

// BenchmarkPut compares checked and receipted pieces with a plain loop of
// direct writes and one fdatasync, in turn. The ratio is Put's speed to the
// plain loop's.
func BenchmarkPut(b *testing.B) {
	s := mustSample(randomBytes(5, benchSize))
	store := newStore(b)
	var put, plain time.Duration
	b.SetBytes(benchSize)
	for b.Loop() {
		put += benchPut(b, func(dir string) *assemble.File {
			return openFile(b, store, s, assemble.Target{Dir: dir, Name: "a"}, assemble.Config{})
		}, s)
		plain += benchPlain(b, s.data)
	}
	speed := func(d time.Duration) float64 { return float64(b.N) * benchSize / 1e6 / d.Seconds() }
	b.ReportMetric(speed(put), "put-MB/s")
	b.ReportMetric(speed(plain), "plain-MB/s")
	b.ReportMetric(speed(put)/speed(plain), "ratio")
}

func benchPut(b *testing.B, open func(dir string) *assemble.File, s *sample) time.Duration {
	f := open(b.TempDir())
	refs := s.pieces()
	start := time.Now()
	var g errgroup.Group
	for w := range benchWriters {
		g.Go(func() error {
			for i := w; i < len(refs); i += benchWriters {
				if err := s.put(f, refs[i]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
	if err := f.Checkpoint(); err != nil {
		b.Fatal(err)
	}
	took := time.Since(start)
	if err := f.Remove(); err != nil {
		b.Fatal(err)
	}
	return took
}

func benchPlain(b *testing.B, data []byte) time.Duration {
	path := filepath.Join(b.TempDir(), "plain")
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|syscall.O_DIRECT, 0o644)
	if err != nil {
		b.Skipf("no direct writes: %v", err)
	}
	defer os.Remove(path)
	defer file.Close()
	if err := syscall.Fallocate(int(file.Fd()), 0, 0, int64(len(data))); err != nil {
		b.Skip(err)
	}
	start := time.Now()
	for offset := 0; offset < len(data); offset += manifest.PieceSize {
		if _, err := file.WriteAt(data[offset:offset+manifest.PieceSize], int64(offset)); err != nil {
			b.Fatal(err)
		}
	}
	if err := syscall.Fdatasync(int(file.Fd())); err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}
