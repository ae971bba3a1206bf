package protocol

import (
	"bytes"
	"io"
	"net"
	"testing"

	"github.com/libp2p/go-libp2p/core/sec"
)

// counted is a connection that counts what reaches the system.
type counted struct {
	net.Conn
	reads, writes int
}

func (c *counted) Read(p []byte) (int, error)  { c.reads++; return c.Conn.Read(p) }
func (c *counted) Write(p []byte) (int, error) { c.writes++; return c.Conn.Write(p) }

// records passes bytes through, a few at a time, as TLS does.
type records struct {
	sec.SecureConn
	conn net.Conn
}

func (r records) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n, err := r.conn.Write(p[done:min(done+16<<10, len(p))])
		if done += n; err != nil {
			return done, err
		}
	}
	return done, nil
}

func TestOneWriteForAllRecords(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	under := &counted{Conn: near}
	conn := &batchConn{Conn: under}
	s := &batchedSecure{SecureConn: records{conn: conn}, conn: conn}
	sent := bytes.Repeat([]byte("vidsync"), 40_000)
	got := make(chan []byte)
	go func() {
		all, _ := io.ReadAll(far)
		got <- all
	}()
	for range 3 {
		if n, err := s.Write(sent); n != len(sent) || err != nil {
			t.Fatal(n, err)
		}
	}
	_ = near.Close()
	if all := <-got; !bytes.Equal(all, bytes.Repeat(sent, 3)) {
		t.Error("other bytes arrived than were sent")
	}
	if under.writes != 3 {
		t.Errorf("%d writes to the system for 3", under.writes)
	}
}

// Writes that fail are told, and leave nothing behind for the next.
func TestWriteFailureIsTold(t *testing.T) {
	near, far := net.Pipe()
	_ = far.Close()
	conn := &batchConn{Conn: near}
	s := &batchedSecure{SecureConn: records{conn: conn}, conn: conn}
	for range 2 {
		if _, err := s.Write([]byte("lost")); err == nil {
			t.Fatal("a write to a closed connection succeeded")
		}
		if conn.batch != nil {
			t.Fatal("still collecting after a failure")
		}
	}
}

// The read buffer stays small on a quiet connection and grows on a busy one.
func TestReadBufferGrows(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	conn := &batchConn{Conn: near}
	send := func(n int) {
		t.Helper()
		go far.Write(make([]byte, n))
		if _, err := io.ReadFull(conn, make([]byte, n)); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		send(500)
	}
	if len(conn.in) != minReadBuffer {
		t.Errorf("buffer of %d bytes for small messages, want %d", len(conn.in), minReadBuffer)
	}
	for range 10 {
		send(1 << 20)
	}
	if len(conn.in) != maxReadBuffer {
		t.Errorf("buffer of %d bytes for large messages, want %d", len(conn.in), maxReadBuffer)
	}
	_ = far.Close()
	if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after the end: %v", err)
	}
}
