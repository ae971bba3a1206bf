package api

import (
	"bufio"
	"io"
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
