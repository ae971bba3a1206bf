package protocol

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol/internal/wire"
)

var (
	// ErrRefused: the peer does not serve us this video. Whether it has it
	// stays unknown.
	ErrRefused = errors.New("refused by the peer")
	// ErrBusy: the peer is over one of its limits; later may be better.
	ErrBusy = errors.New("peer is busy")
	// ErrProtocol: the peer broke the rules of the protocol.
	ErrProtocol = errors.New("peer broke the protocol")
	// ErrChanged: the peer's source of these bytes has changed or cannot be
	// read any more. It is also an fs.ErrNotExist. A Library returns it, or
	// wraps it, to say so.
	ErrChanged = fmt.Errorf("source has changed: %w", fs.ErrNotExist)
	// ErrClosed: the streams to the peer have ended.
	ErrClosed = errors.New("connection to the peer has ended")

	errInvalid   = errors.New("peer finds the request invalid")
	errRemote    = errors.New("peer has an internal error")
	errCancelled = errors.New("request was cancelled")
	errRelayed   = errors.New("streams over a relay are not served")
)

// statuses maps errors to what is said on the wire, and back. The first row
// that an error matches counts, so ErrChanged stands before fs.ErrNotExist.
// Rows are only ever added.
var statuses = []struct {
	err    error
	status wire.Status
}{
	{ErrRefused, wire.Status_STATUS_REFUSED},
	{ErrBusy, wire.Status_STATUS_BUSY},
	{errInvalid, wire.Status_STATUS_INVALID},
	{ErrChanged, wire.Status_STATUS_CHANGED},
	{manifest.ErrCorrupt, wire.Status_STATUS_CHANGED},
	{fs.ErrNotExist, wire.Status_STATUS_NOT_FOUND},
	{errCancelled, wire.Status_STATUS_CANCELLED},
	{errRemote, wire.Status_STATUS_INTERNAL},
}

// statusOf is what to tell a peer about err. What the table does not know is
// this node's own trouble.
func statusOf(err error) wire.Status {
	if err == nil {
		return wire.Status_STATUS_OK
	}
	for _, row := range statuses {
		if errors.Is(err, row.err) {
			return row.status
		}
	}
	return wire.Status_STATUS_INTERNAL
}

// errorOf is what a peer's status means here. A status from a newer version
// is an error like any other.
func errorOf(status wire.Status) error {
	switch status {
	case wire.Status_STATUS_OK:
		return nil
	case wire.Status_STATUS_UNSPECIFIED:
		return fmt.Errorf("%w: answer without a status", ErrProtocol)
	}
	for _, row := range statuses {
		if row.status == status {
			return row.err
		}
	}
	return fmt.Errorf("%w: status %d", errRemote, status)
}

// streamRefused resets a stream whose permission has ended. libp2p leaves codes
// from 0x10000 on to applications.
const streamRefused = 0x10000 + network.StreamErrorCode(wire.Status_STATUS_REFUSED)

// resetCode is what a stream is reset with because of err.
func resetCode(err error) network.StreamErrorCode {
	switch {
	case errors.Is(err, ErrProtocol):
		return network.StreamProtocolViolation
	case errors.Is(err, ErrBusy):
		return network.StreamRateLimited
	case errors.Is(err, errEnded):
		return streamRefused
	case errors.Is(err, errRelayed):
		return network.StreamGated
	case errors.Is(err, context.Canceled):
		return network.StreamShutdown
	}
	return network.StreamNoError
}

// streamError gives the reset of a stream by a peer that is busy, or lets us
// have no more, the meaning that the peer's status would have had.
func streamError(err error) error {
	reset, ok := errors.AsType[*network.StreamError](err)
	if !ok || !reset.Remote {
		return err
	}
	switch reset.ErrorCode {
	case network.StreamRateLimited, network.StreamResourceLimitExceeded:
		return fmt.Errorf("%w: %w", ErrBusy, err)
	case streamRefused:
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return err
}
