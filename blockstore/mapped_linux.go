package blockstore

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// mapping is a table or a log of the index that is mapped into memory.
type mapping struct {
	start, end uint64 // addresses
	resident   int64  // bytes in memory
}

// dropMapped takes the pages of the index's tables and logs out of memory if
// there are more than limit bytes of them. Badger maps these files, so each page
// that was ever read or written counts as memory of this process until the
// kernel needs it for something else. What the kernel refuses is left as it is.
//
// A mapping may be gone by the time that its pages are dropped, and its
// addresses in use for something else. MADV_PAGEOUT does no harm then: it never
// loses what a page holds.
func dropMapped(dir string, limit int64) error {
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return err
	}
	defer f.Close() // read only: nothing to lose
	mapped, err := mappings(f, dir)
	if err != nil {
		return err
	}
	var resident int64
	for _, m := range mapped {
		resident += m.resident
	}
	if resident <= limit {
		return nil
	}
	for _, m := range mapped {
		unix.Syscall(unix.SYS_MADVISE, uintptr(m.start), uintptr(m.end-m.start), unix.MADV_PAGEOUT)
	}
	return nil
}

// mappings finds the mappings of tables and logs in dir that have pages in
// memory. In the list, a line with addresses and path begins a mapping, and
// others tell of it.
func mappings(smaps io.Reader, dir string) (mapped []mapping, err error) {
	var at mapping
	ours := false
	lines := bufio.NewScanner(smaps)
	for lines.Scan() {
		addresses, rest, _ := bytes.Cut(lines.Bytes(), []byte{' '})
		if from, to, ok := bytes.Cut(addresses, []byte{'-'}); ok {
			start, err1 := strconv.ParseUint(string(from), 16, strconv.IntSize)
			end, err2 := strconv.ParseUint(string(to), 16, strconv.IntSize)
			at, ours = mapping{start: start, end: end}, err1 == nil && err2 == nil && start < end && ofIndex(rest, dir)
			continue
		}
		if !ours || string(addresses) != "Rss:" {
			continue
		}
		kib, err := strconv.ParseInt(string(bytes.TrimSuffix(bytes.TrimSpace(rest), []byte(" kB"))), 10, 64)
		if err == nil && kib > 0 {
			at.resident = kib << 10
			mapped = append(mapped, at)
		}
	}
	return mapped, lines.Err()
}

// ofIndex tells whether a line of the list names a table or a log in dir.
func ofIndex(line []byte, dir string) bool {
	if !bytes.HasSuffix(line, []byte(".sst")) && !bytes.HasSuffix(line, []byte(".vlog")) {
		return false
	}
	at := bytes.LastIndexByte(line, '/')
	return at > 0 && bytes.HasSuffix(line[:at], []byte(" "+dir))
}
