//go:build !linux

package watch

import "errors"

var errWatchLimit = errors.New("limit of watched folders reached")

func openNotifier(Config) (notifier, error) {
	return nil, errors.New("this system does not tell of files that are closed")
}
