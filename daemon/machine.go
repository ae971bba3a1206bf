package daemon

import (
	"net/netip"

	"github.com/libp2p/go-libp2p/x/rate"
	"golang.org/x/sys/unix"
)

const fewOpenFiles = 1024

// maxOpenFiles is how many files this process may have open.
func maxOpenFiles() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fewOpenFiles
	}
	return int(min(limit.Cur, 1<<20))
}

// diskFree is how many bytes an unprivileged user may still write at path.
func diskFree(path string) (int64, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return 0, err
	}
	return int64(fs.Bavail) * int64(fs.Bsize), nil
}

func loopbackUnlimited() []rate.PrefixLimit {
	return []rate.PrefixLimit{
		{Prefix: netip.MustParsePrefix("127.0.0.0/8")},
		{Prefix: netip.MustParsePrefix("::1/128")},
	}
}
