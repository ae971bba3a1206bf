package blockstore

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestMappings(t *testing.T) {
	const list = `00400000-01a3c000 r-xp 00000000 fe:00 131 /usr/bin/vidsync
Rss:               20000 kB
7f0000000000-7f0000100000 rw-s 00000000 fe:00 132   /v/my index/000001.sst
Size:               1024 kB
Rss:                  12 kB
Pss:                  12 kB
VmFlags: rd wr sh
7f0000200000-7f0000300000 rw-s 00000000 fe:00 133   /v/my index/000001.vlog
Rss:                   0 kB
7f0000400000-7f0000500000 rw-s 00000000 fe:00 134   /v/my index/000002.vlog
Rss:                   4 kB
7f0000600000-7f0000700000 rw-s 00000000 fe:00 135   /v/my index/000001.mem
Rss:                   4 kB
7f0000800000-7f0000900000 rw-s 00000000 fe:00 136   /x/v/my index/000003.vlog
Rss:                   4 kB
7f0000a00000-7f0000b00000 rw-s 00000000 fe:00 137   /v/my index/sub/000003.vlog
Rss:                   4 kB
zz-7f0000b00000 rw-s 00000000 fe:00 137   /v/my index/000004.vlog
Rss:                   4 kB
7f0000c00000-7f0000d00000 rw-s 00000000 fe:00 138   /v/my index/000005.vlog (deleted)
Rss:                   4 kB
`
	got, err := mappings(strings.NewReader(list), "/v/my index")
	want := []mapping{{0x7f0000000000, 0x7f0000100000, 12 << 10}, {0x7f0000400000, 0x7f0000500000, 4 << 10}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %x, %v", got, err)
	}
}

// The pages go, and what they hold is still there.
func TestMappedPagesAreDropped(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "an index")
	s, err := Open(dir, Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const blocks = 20 * batchBlocks
	fillLogs(t, s, blocks)
	before := resident(t, s.dir)
	if err := dropMapped(s.dir, before+1); err != nil {
		t.Fatal(err)
	}
	if now := resident(t, s.dir); now < before {
		t.Errorf("%d of %d bytes below the limit", now, before)
	}
	if err := dropMapped(s.dir, 0); err != nil {
		t.Fatal(err)
	}
	if now := resident(t, s.dir); before < 8<<20 || now > before/2 {
		t.Errorf("%d of %d bytes are left; does this kernel (%s) know MADV_PAGEOUT?", now, before, kernel())
	}
	checkKept(t, s, blocks)
}

func resident(t *testing.T, dir string) (sum int64) {
	t.Helper()
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	mapped, err := mappings(f, dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mapped {
		sum += m.resident
	}
	return sum
}

func kernel() string {
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	return strings.TrimSpace(fmt.Sprint(string(text), err))
}
