package protocol

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/vidsync/vidsync/protocol/internal/wire"
)

// FuzzPairRequest: what is accepted keeps the limits.
func FuzzPairRequest(f *testing.F) {
	f.Add(encoded(f, &wire.PairRequest{Secret: make([]byte, 16), Name: "laptop", Addrs: [][]byte{{4, 127, 0, 0, 1, 6, 0, 80}}}))
	f.Add(encoded(f, &wire.PairRequest{Secret: make([]byte, 64), Addrs: [][]byte{{}, {0x35, 1, 'x'}}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		var m wire.PairRequest
		if proto.Unmarshal(data, &m) != nil {
			return
		}
		addrs, err := decodePairRequest(&m)
		if err != nil {
			return
		}
		if len(m.Secret) < 16 || len(m.Secret) > 64 || len(m.Name) > 64 || len(addrs) > 8 {
			t.Errorf("accepted %v", &m)
		}
		for _, a := range addrs {
			if len(a.Protocols()) == 0 || a.String() == "" {
				t.Errorf("empty address %x was accepted", a.Bytes())
			}
		}
	})
}

// FuzzPairAnswer: a name that is accepted can be shown.
func FuzzPairAnswer(f *testing.F) {
	f.Add(encoded(f, &wire.PairAnswer{Status: wire.Status_STATUS_OK, Name: "server"}))
	f.Add(encoded(f, &wire.PairAnswer{Status: wire.Status_STATUS_OK, Name: "\x1b[2J"}))
	f.Fuzz(func(t *testing.T, data []byte) {
		var m wire.PairAnswer
		if proto.Unmarshal(data, &m) != nil || !validPeerName(m.Name) {
			return
		}
		for _, r := range m.Name {
			if r < ' ' || r >= 0x7f && r < 0xa0 {
				t.Errorf("accepted %q", m.Name)
			}
		}
	})
}
