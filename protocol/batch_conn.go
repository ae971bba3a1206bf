package protocol

import (
	"net"
	"sync"
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/sec"
)

const (
	// A connection's read buffer begins small and grows while reads fill it, so
	// that only busy connections have a large one.
	minReadBuffer = 16 << 10
	maxReadBuffer = 256 << 10
	// batchBytes is about what one frame of yamux becomes in TLS records.
	batchBytes = maxFrame + 8<<10
)

// batchConn lies under TLS, which reads and writes a record of 16 KiB at a
// time. It turns many of these into one system call.
type batchConn struct {
	net.Conn

	in         []byte // read ahead; one goroutine reads
	from, upTo int    // what of it TLS has not taken

	mu    sync.Mutex // TLS writes from several goroutines
	batch *[]byte    // collects records; nil while they pass through

	sent    atomic.Int64 // bytes that the system has taken
	sending atomic.Bool  // while it is asked to take some
}

// send hands bytes to the system. The caller holds mu.
func (c *batchConn) send(p []byte) (int, error) {
	c.sending.Store(true)
	n, err := c.Conn.Write(p)
	c.sent.Add(int64(n))
	c.sending.Store(false)
	return n, err
}

// Read implements net.Conn.
func (c *batchConn) Read(p []byte) (int, error) {
	if c.from == c.upTo {
		if err := c.readAhead(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.in[c.from:c.upTo])
	c.from += n
	return n, nil
}

// readAhead returns no error if there are any bytes.
func (c *batchConn) readAhead() error {
	if filled := c.upTo == len(c.in); filled && len(c.in) < maxReadBuffer {
		c.in = make([]byte, max(minReadBuffer, 2*len(c.in)))
	}
	n, err := c.Conn.Read(c.in)
	c.from, c.upTo = 0, n
	if n > 0 {
		return nil // an error will come again
	}
	return err
}

// Write implements net.Conn.
func (c *batchConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.batch == nil {
		return c.send(p)
	}
	*c.batch = append(*c.batch, p...)
	return len(p), nil
}

// batches are shared by all connections: most are idle most of the time.
var batches = sync.Pool{New: func() any {
	b := make([]byte, 0, batchBytes)
	return &b
}}

// collect keeps what is written from now on, until flush.
func (c *batchConn) collect() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.batch = batches.Get().(*[]byte)
}

// flush sends what was collected.
func (c *batchConn) flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	batch := c.batch
	c.batch = nil
	_, err := c.send(*batch)
	*batch = (*batch)[:0]
	batches.Put(batch)
	return err
}

// batchedSecure sends all records of one Write together.
type batchedSecure struct {
	sec.SecureConn
	conn *batchConn

	writing sync.Mutex
}

// Write implements net.Conn.
func (s *batchedSecure) Write(p []byte) (int, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.conn.collect()
	n, err := s.SecureConn.Write(p)
	if flushErr := s.conn.flush(); err == nil {
		err = flushErr
	}
	return n, err
}
