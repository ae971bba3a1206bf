package protocol_test

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/vidsync/vidsync/protocol"
	"github.com/vidsync/vidsync/protocol/internal/wire"
)

var testSecret = []byte("sixteen bytes or")

// safe has one invite.
type safe struct {
	secret  []byte
	ownName string
	err     error // of every attempt, if not nil

	mu    sync.Mutex
	tries []attempt
}

type attempt struct {
	from  peer.ID
	name  string
	addrs []ma.Multiaddr
}

func (s *safe) Redeem(from peer.ID, secret []byte, name string, addrs []ma.Multiaddr) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tries = append(s.tries, attempt{from, name, addrs})
	if s.err != nil {
		return "", s.err
	}
	if subtle.ConstantTimeCompare(secret, s.secret) != 1 {
		return "", errors.New("no such secret")
	}
	return s.ownName, nil
}

func (s *safe) attempts() []attempt {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.tries)
}

func TestPair(t *testing.T) {
	addrs := []ma.Multiaddr{ma.StringCast("/ip4/192.0.2.1/tcp/4001"), ma.StringCast("/dns4/cam.example/udp/4001/quic-v1")}
	onEachTransport(t, func(t *testing.T, transport string) {
		server, client := newHosts(t, transport)
		safe := &safe{secret: testSecret, ownName: "Küche 2"}
		serve(t, server, protocol.ServerConfig{Pairing: safe})
		name, err := protocol.Pair(t.Context(), client, server.ID(), testSecret, "field laptop", addrs, protocol.ClientConfig{})
		if err != nil || name != "Küche 2" {
			t.Fatalf("got %q, %v", name, err)
		}
		got := safe.attempts()
		if len(got) != 1 || got[0].from != client.ID() || got[0].name != "field laptop" ||
			!slices.EqualFunc(got[0].addrs, addrs, func(a, b ma.Multiaddr) bool { return a.Equal(b) }) {
			t.Errorf("attempts %v", got)
		}
	})
}

// A secret that is wrong, one that has expired and one that met trouble get
// the same answer.
func TestPairRefused(t *testing.T) {
	server, client := newHosts(t, "tcp")
	wrong := encode(t, &wire.PairRequest{Secret: bytes.Repeat([]byte{1}, 16)})
	right := encode(t, &wire.PairRequest{Secret: testSecret})
	for name, test := range map[string]struct {
		pairing protocol.Pairing
		request []byte
	}{
		"wrong":   {&safe{secret: testSecret}, wrong},
		"expired": {&safe{err: errors.New("invite has expired")}, right},
		"trouble": {&safe{err: errors.New("disk is full")}, right},
		"nobody":  {nil, right},
		"absurd":  {nil, encode(t, &wire.PairRequest{Secret: []byte("short")})},
	} {
		stop := serve(t, server, protocol.ServerConfig{Pairing: test.pairing})
		answer, err := answerTo(t, client, server.ID(), protocol.PairID, test.request)
		if want := encode(t, &wire.PairAnswer{Status: wire.Status_STATUS_REFUSED}); err != nil || !bytes.Equal(answer, want) {
			t.Errorf("%s: answer %x, %v, want %x", name, answer, err, want)
		}
		stop()
	}
}

func TestPairInvalid(t *testing.T) {
	server, client := newHosts(t, "tcp")
	safe := &safe{secret: testSecret}
	serve(t, server, protocol.ServerConfig{Pairing: safe})
	local := ma.StringCast("/ip4/127.0.0.1/tcp/80").Bytes()
	for name, request := range map[string]*wire.PairRequest{
		"no secret":          {},
		"short secret":       {Secret: testSecret[:15]},
		"long secret":        {Secret: make([]byte, 65)},
		"long name":          {Secret: testSecret, Name: strings.Repeat("x", 65)},
		"name with a bell":   {Secret: testSecret, Name: "ding\a"},
		"name with C1":       {Secret: testSecret, Name: "x\u009b31m"},
		"too many addresses": {Secret: testSecret, Addrs: slices.Repeat([][]byte{local}, 9)},
		"garbage address":    {Secret: testSecret, Addrs: [][]byte{{0xff, 0xff}}},
		"empty address":      {Secret: testSecret, Addrs: [][]byte{{}}},
		"long address":       {Secret: testSecret, Addrs: [][]byte{ma.StringCast("/unix/" + strings.Repeat("x", 300)).Bytes()}},
	} {
		answer, err := answerTo(t, client, server.ID(), protocol.PairID, encode(t, request))
		if want := encode(t, &wire.PairAnswer{Status: wire.Status_STATUS_INVALID}); err != nil || !bytes.Equal(answer, want) {
			t.Errorf("%s: answer %x, %v, want %x", name, answer, err, want)
		}
	}
	if n := len(safe.attempts()); n != 0 {
		t.Errorf("%d attempts were passed on", n)
	}
	for name, secret := range map[string][]byte{"short": testSecret[:15], "long": make([]byte, 65)} {
		if _, err := protocol.Pair(t.Context(), client, "nobody", secret, "", nil, protocol.ClientConfig{}); err == nil || strings.Contains(err.Error(), "dial") {
			t.Errorf("%s secret at the client: %v", name, err)
		}
	}
}

// One peer has one attempt a second, and all together have four.
func TestPairingIsSlow(t *testing.T) {
	server, client := newHosts(t, "tcp")
	safe := &safe{secret: testSecret}
	serve(t, server, protocol.ServerConfig{Pairing: safe})
	start := time.Now()
	busy, tries := 0, 0
	for ; busy == 0 || tries < 20; tries++ {
		_, err := protocol.Pair(t.Context(), client, server.ID(), bytes.Repeat([]byte{1}, 16), "", nil, protocol.ClientConfig{})
		if errors.Is(err, protocol.ErrBusy) {
			busy++
		} else if !errors.Is(err, protocol.ErrRefused) {
			t.Fatalf("attempt %d: %v", tries, err)
		}
	}
	if most := 1 + int(time.Since(start)/time.Second); len(safe.attempts()) > most || len(safe.attempts()) != tries-busy {
		t.Errorf("%d attempts were passed on, want at most %d", len(safe.attempts()), most)
	}
}

// A name that cannot be told does not spoil what was agreed.
func TestPairWithNameless(t *testing.T) {
	server, client := newHosts(t, "tcp")
	serve(t, server, protocol.ServerConfig{Pairing: &safe{secret: testSecret, ownName: strings.Repeat("x", 65)}})
	if name, err := protocol.Pair(t.Context(), client, server.ID(), testSecret, "", nil, protocol.ClientConfig{}); err != nil || name != "" {
		t.Errorf("got %q, %v", name, err)
	}
}

func TestHostilePairServers(t *testing.T) {
	ok := wire.Status_STATUS_OK
	for _, test := range []struct {
		name string
		send []byte
		want error // nil: any
	}{
		{"silence", nil, nil},
		{"half an answer", []byte{5, 8}, nil},
		{"no status", []byte{0}, protocol.ErrProtocol},
		{"oversize answer", []byte{0x81, 0x08}, protocol.ErrProtocol},
		{"garbage", []byte{2, 0xff, 0xff}, protocol.ErrProtocol},
		{"long name", encode(t, &wire.PairAnswer{Status: ok, Name: strings.Repeat("x", 65)}), protocol.ErrProtocol},
		{"name with an escape", encode(t, &wire.PairAnswer{Status: ok, Name: "\x1b[2J"}), protocol.ErrProtocol},
		{"name that is no text", []byte{5, 8, 1, 0x12, 1, 0xff}, protocol.ErrProtocol},
	} {
		t.Run(test.name, func(t *testing.T) {
			server, client := newHosts(t, "tcp")
			handle(t, server, protocol.PairID, send(test.send))
			name, err := protocol.Pair(t.Context(), client, server.ID(), testSecret, "", nil, protocol.ClientConfig{Timeout: patience(test.want != nil)})
			if err == nil || name != "" || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("got %q, %v, want %v", name, err, test.want)
			}
		})
	}
}
