package protocol

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// framing is one stream with its messages, raw bytes and deadlines. One
// goroutine may read while another writes.
type framing struct {
	stream  network.Stream
	in      *bufio.Reader
	out     []byte        // encoded message, used again
	timeout time.Duration // for each stretch of progress
	unbind  func() bool
}

// newFraming takes over a stream and resets it when ctx ends. The caller must
// call end.
func newFraming(ctx context.Context, s network.Stream, timeout time.Duration) *framing {
	f := &framing{stream: s, in: bufio.NewReaderSize(s, readBufferBytes), timeout: timeout, unbind: func() bool { return true }}
	f.bind(ctx)
	return f
}

// bind has ctx's end reset the stream, in place of the context before it. It
// tells whether that had not ended yet.
func (f *framing) bind(ctx context.Context) (intact bool) {
	intact = f.unbind()
	f.unbind = context.AfterFunc(ctx, func() { f.reset(context.Cause(ctx)) })
	return intact
}

// reserveMore makes the resource manager count more memory for the stream.
func (f *framing) reserveMore(bytes int) error {
	if err := f.stream.Scope().ReserveMemory(bytes, network.ReservationPriorityHigh); err != nil {
		return fmt.Errorf("%w: %v", ErrBusy, err)
	}
	return nil // released with the stream
}

// reserve makes the resource manager count the stream and its own memory.
func (f *framing) reserve(bytes int) error {
	if err := f.stream.Scope().SetService(ServiceName); err != nil {
		return fmt.Errorf("%w: %v", ErrBusy, err)
	}
	return f.reserveMore(bytes)
}

// reset drops the stream at once, both ways, with the code that err stands for.
func (f *framing) reset(err error) { _ = f.stream.ResetWithError(resetCode(err)) }

// end closes the stream after success and after a refusal that the peer has
// been told; any other error resets it.
func (f *framing) end(err error) {
	f.unbind()
	if err == nil || isDeclined(err) {
		err = f.stream.Close()
	}
	if err != nil {
		f.reset(err)
	}
}

// A declined error is one that the peer has been told by a status.
type declined struct{ error }

func (d declined) Unwrap() error { return d.error }

func isDeclined(err error) bool {
	_, ok := errors.AsType[declined](err)
	return ok
}

// errFinished ends both halves of a stream after success.
var errFinished = errors.New("stream is finished")

// failing resets the stream when one of its halves has failed, to wake the
// other. It returns err.
func (f *framing) failing(err error) error {
	if err != nil && !errors.Is(err, errFinished) && !errors.Is(err, context.Canceled) {
		f.reset(err)
	}
	return err
}

// decline tells the peer, by a message with a status in it, that there will be
// no more on this stream because of err.
func (f *framing) decline(err error, answer proto.Message) error {
	if err := f.write(answer); err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	return declined{err}
}

// await blocks until the peer has sent something, for as long as that takes.
// io.EOF means that it has closed its side.
func (f *framing) await() error {
	f.disarmRead()
	return f.peek()
}

func (f *framing) peek() error {
	_, err := f.in.Peek(1)
	return streamError(err)
}

// read reads one message of at most limit bytes. It must arrive in time. io.EOF
// means that the peer closed its side instead of sending one.
func (f *framing) read(m proto.Message, limit int64) error {
	f.armRead()
	err := protodelim.UnmarshalOptions{MaxSize: limit}.UnmarshalFrom(f.in, m)
	if errors.Is(err, proto.Error) {
		return fmt.Errorf("%w: %v", ErrProtocol, err)
	}
	return streamError(err)
}

// readFull fills dst with raw bytes. The deadline is armed again as they come.
func (f *framing) readFull(dst []byte) error {
	f.armRead()
	for passed := 0; len(dst) > 0; {
		n, err := f.in.Read(dst)
		dst = dst[n:]
		if err != nil && len(dst) > 0 {
			return streamError(cutShort(err))
		}
		if passed += n; passed >= leastProgress {
			passed = 0
			f.armRead()
		}
	}
	return nil
}

// discard reads n raw bytes and drops them.
func (f *framing) discard(n int) error {
	for n > 0 {
		f.armRead()
		done, err := f.in.Discard(min(n, leastProgress))
		if err != nil {
			return streamError(cutShort(err))
		}
		n -= done
	}
	return nil
}

func cutShort(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// write sends one message.
func (f *framing) write(m proto.Message) error {
	f.out = appendMessage(f.out[:0], m)
	return f.writeFull(f.out)
}

// writeFull sends raw bytes. The deadline is armed again as they leave.
func (f *framing) writeFull(src []byte) error {
	for len(src) > 0 {
		n, err := f.writeSome(src, f.timeout)
		if err != nil && (n < leastProgress || !timedOut(err)) {
			return streamError(err)
		}
		src = src[n:]
	}
	return nil
}

// writeSome sends the start of src, and returns how much of it was taken. When
// time has run out, it may be called again.
func (f *framing) writeSome(src []byte, within time.Duration) (int, error) {
	_ = f.stream.SetWriteDeadline(time.Now().Add(within))
	return f.stream.Write(src[:min(len(src), stretchBytes)])
}

func timedOut(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

func (f *framing) armRead() { _ = f.stream.SetReadDeadline(time.Now().Add(f.timeout)) }

func (f *framing) disarmRead() { _ = f.stream.SetReadDeadline(time.Time{}) }

// appendMessage appends m with its length before it.
func appendMessage(dst []byte, m proto.Message) []byte {
	dst = protowire.AppendVarint(dst, uint64(proto.Size(m)))
	dst, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(dst, m)
	if err != nil {
		panic("protocol: internal error: encode message: " + err.Error())
	}
	return dst
}
