package assemble

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// openDirect opens the file once more, for writes that pass by the page cache:
// they cost a fraction of the processor time. It returns nil where the file
// system refuses that.
func openDirect(f *os.File) (*os.File, error) {
	d, err := os.OpenFile(f.Name(), os.O_WRONLY|unix.O_DIRECT|unix.O_NOFOLLOW, 0)
	if err != nil {
		if directRefused(err) {
			return nil, nil
		}
		return nil, err
	}
	if err := sameFile(f, d); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func directRefused(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP)
}
