package api

import (
	"bufio"
	"io"
	"iter"
)

// What tests outside the package reach into.
var (
	PeerUID     = peerUID
	MayConnect  = mayConnect
	AppendEvent = appendEvent
	ErrTooLong  = errTooLong
)

const (
	MaxRequest  = maxRequest
	MaxRequests = maxRequests
)

// EventReader reads events of at most limit bytes from r.
func EventReader(r io.Reader, limit int) func() (name string, data []byte, err error) {
	return (&eventReader{r: bufio.NewReaderSize(r, 16), limit: limit}).next
}

// ReadVideos reads a list of videos.
func ReadVideos(r io.Reader) iter.Seq2[Video, error] {
	return func(yield func(Video, error) bool) {
		if err := readVideos(r, func(v Video) bool { return yield(v, nil) }); err != nil && err != errStopped {
			yield(Video{}, err)
		}
	}
}
