package protocol_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"

	"github.com/vidsync/vidsync/protocol"
	"github.com/vidsync/vidsync/protocol/internal/wire"
)

// inbox keeps notices in memory.
type inbox struct {
	fail func(n protocol.Notice) error // nil never fails

	mu   sync.Mutex
	from []peer.ID
	got  []protocol.Notice
}

func (i *inbox) TakeNotice(from peer.ID, n protocol.Notice) error {
	if i.fail != nil {
		if err := i.fail(n); err != nil {
			return err
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.from, i.got = append(i.from, from), append(i.got, n)
	return nil
}

func (i *inbox) notices() []protocol.Notice {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]protocol.Notice(nil), i.got...)
}

// hostKey is the key of a host of a test.
func hostKey(h host.Host) crypto.PrivKey { return h.Peerstore().PrivKey(h.ID()) }

func receiptOf(t testing.TB, h host.Host) *protocol.SignedReceipt {
	t.Helper()
	r := sign(t, hostKey(h), otherVideo(t))
	return &r
}

func TestSendNotices(t *testing.T) {
	onEachTransport(t, func(t *testing.T, transport string) {
		server, client := newHosts(t, transport)
		inbox := &inbox{}
		serve(t, server, protocol.ServerConfig{Peers: trust(client), Notices: inbox})
		receipt := receiptOf(t, client)
		sent := []protocol.Notice{{Receipt: receipt}}
		for _, e := range entries(t, 1, 2*protocol.MaxNotices) { // three streams
			sent = append(sent, protocol.Notice{Transcript: e.Video})
		}
		if err := protocol.SendNotices(t.Context(), client, server.ID(), sent, protocol.ClientConfig{}); err != nil {
			t.Fatal(err)
		}
		got := inbox.notices()
		if len(got) != len(sent) || got[0].Receipt == nil || !sameReceipt(*got[0].Receipt, *receipt) {
			t.Fatalf("%d notices arrived, the first is %v", len(got), got[0])
		}
		for i := range got[1:] {
			if got[i+1] != sent[i+1] {
				t.Fatalf("notice %d is %v, want %v", i+1, got[i+1], sent[i+1])
			}
		}
		for _, from := range inbox.from {
			if from != client.ID() {
				t.Fatalf("notice from %s, want %s", from, client.ID())
			}
		}
	})
}

func TestSendNoNotices(t *testing.T) {
	client := newHost(t, "tcp")
	if err := protocol.SendNotices(t.Context(), client, "nobody", nil, protocol.ClientConfig{}); err != nil {
		t.Error(err)
	}
}

// What the peer does not want is named, and does not keep the rest back.
func TestNoticesThatAreNotTaken(t *testing.T) {
	all := entries(t, 0, 299)
	server, client := newHosts(t, "tcp")
	inbox := &inbox{fail: func(n protocol.Notice) error {
		switch n.Transcript {
		case all[3].Video:
			return fmt.Errorf("video: %w", fs.ErrNotExist)
		case all[280].Video:
			return errors.New("disk is on fire")
		}
		return nil
	}}
	serve(t, server, protocol.ServerConfig{Peers: trust(client), Notices: inbox})
	var sent []protocol.Notice
	for _, e := range all {
		sent = append(sent, protocol.Notice{Transcript: e.Video})
	}
	err := protocol.SendNotices(t.Context(), client, server.ID(), sent, protocol.ClientConfig{})
	if joined, ok := err.(interface{ Unwrap() []error }); !ok || len(joined.Unwrap()) != 2 {
		t.Fatalf("got %v", err)
	} else {
		for i, want := range []int{3, 280} {
			if e, ok := errors.AsType[*protocol.NoticeError](joined.Unwrap()[i]); !ok || e.Index != want || errors.Is(e, fs.ErrNotExist) != (want == 3) {
				t.Errorf("error %d is %v, want one of notice %d", i, joined.Unwrap()[i], want)
			}
		}
	}
	if n := len(inbox.notices()); n != 298 {
		t.Errorf("%d notices were taken", n)
	}
}

// A peer that wants nothing now says so once.
func TestNoticesRefused(t *testing.T) {
	for want, taker := range map[error]*inbox{
		protocol.ErrBusy:    {fail: func(protocol.Notice) error { return protocol.ErrBusy }},
		protocol.ErrRefused: {fail: func(protocol.Notice) error { return protocol.ErrRefused }},
	} {
		onEachTransport(t, func(t *testing.T, transport string) {
			server, client := newHosts(t, transport)
			serve(t, server, protocol.ServerConfig{Peers: trust(client), Notices: taker})
			sent := make([]protocol.Notice, 50)
			for i := range sent {
				sent[i].Receipt = receiptOf(t, client)
			}
			err := protocol.SendNotices(t.Context(), client, server.ID(), sent, protocol.ClientConfig{})
			if _, one := errors.AsType[*protocol.NoticeError](err); one || !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
		})
	}
}

func TestForgedReceipts(t *testing.T) {
	server, client := newHosts(t, "tcp")
	inbox := &inbox{}
	serve(t, server, protocol.ServerConfig{Peers: trust(client, server), Notices: inbox})
	forged := receiptOf(t, client)
	forged.Size++
	good := receiptOf(t, client)
	for name, r := range map[string]*protocol.SignedReceipt{"of another holder": receiptOf(t, server), "of another size": forged} {
		err := protocol.SendNotices(t.Context(), client, server.ID(), []protocol.Notice{{Receipt: r}, {Receipt: good}}, protocol.ClientConfig{})
		if e, ok := errors.AsType[*protocol.NoticeError](err); !ok || e.Index != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, n := range inbox.notices() {
		if !sameReceipt(*n.Receipt, *good) {
			t.Errorf("receipt %v was passed on", n.Receipt)
		}
	}
	if n := len(inbox.notices()); n != 2 {
		t.Errorf("%d notices were passed on, want 2", n)
	}
}

// Notices that make no sense here are answered so, one by one.
func TestInvalidNotices(t *testing.T) {
	server, client := newHosts(t, "tcp")
	inbox := &inbox{}
	serve(t, server, protocol.ServerConfig{Peers: trust(client), Notices: inbox})
	receipt, err := receiptOf(t, client).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	s := openRaw(t, client, server.ID(), protocol.NoticeID)
	in := bufio.NewReader(s)
	for _, test := range []struct {
		name    string
		request []byte
		want    wire.Status
	}{
		{"receipt", encode(t, &wire.Notice{Kind: &wire.Notice_Receipt{Receipt: receipt}}), wire.Status_STATUS_OK},
		{"empty", []byte{0}, wire.Status_STATUS_INVALID},
		{"kind from a newer version", []byte{4, 0xa2, 0x06, 1, 'x'}, wire.Status_STATUS_INVALID},
		{"no receipt", encode(t, &wire.Notice{Kind: &wire.Notice_Receipt{}}), wire.Status_STATUS_INVALID},
		{"half a receipt", encode(t, &wire.Notice{Kind: &wire.Notice_Receipt{Receipt: receipt[:50]}}), wire.Status_STATUS_INVALID},
		{"no video", encode(t, &wire.Notice{Kind: &wire.Notice_Transcript{Transcript: []byte("x")}}), wire.Status_STATUS_INVALID},
		{"video", encode(t, &wire.Notice{Kind: &wire.Notice_Transcript{Transcript: otherVideo(t).Bytes()}}), wire.Status_STATUS_OK},
	} {
		if _, err := s.Write(test.request); err != nil {
			t.Fatal(err)
		}
		var answer wire.NoticeAnswer
		if err := protodelim.UnmarshalFrom(in, &answer); err != nil || answer.Status != test.want {
			t.Fatalf("%s: %v, %v, want %v", test.name, &answer, err, test.want)
		}
	}
	if n := len(inbox.notices()); n != 2 {
		t.Errorf("%d notices were passed on", n)
	}
}

// Nothing that no peer can take is sent.
func TestSendInvalidNotice(t *testing.T) {
	client := newHost(t, "tcp")
	unsigned := receiptOf(t, client)
	unsigned.Signature = nil
	for name, n := range map[string]protocol.Notice{
		"nothing": {}, "both": {Receipt: receiptOf(t, client), Transcript: otherVideo(t)}, "unsigned": {Receipt: unsigned},
	} {
		err := protocol.SendNotices(t.Context(), client, "nobody", []protocol.Notice{n}, protocol.ClientConfig{})
		if err == nil || errors.Is(err, protocol.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHostileNoticeTakers(t *testing.T) {
	ok := encode(t, &wire.NoticeAnswer{Status: wire.Status_STATUS_OK})
	for _, test := range []struct {
		name string
		send []byte
		want error // nil: any
	}{
		{"silence", nil, nil},
		{"one answer of two", ok, nil},
		{"no status", append(bytes.Clone(ok), 0), protocol.ErrProtocol},
		{"oversize answer", []byte{0x81, 0x08}, protocol.ErrProtocol},
		{"garbage", []byte{2, 0xff, 0xff}, protocol.ErrProtocol},
	} {
		t.Run(test.name, func(t *testing.T) {
			server, client := newHosts(t, "tcp")
			ended := make(chan struct{})
			defer close(ended)
			handle(t, server, protocol.NoticeID, func(t *testing.T, s network.Stream, in *bufio.Reader) {
				send(test.send)(t, s, in)
				<-ended // the client has closed its side already
			})
			two := []protocol.Notice{{Transcript: otherVideo(t)}, {Transcript: otherVideo(t)}}
			err := protocol.SendNotices(t.Context(), client, server.ID(), two, protocol.ClientConfig{Timeout: patience(test.want != nil)})
			if err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// A node that reads nothing does not hold its clients up for ever.
func TestNoticeTakerThatDoesNotRead(t *testing.T) {
	server, client := newHosts(t, "tcp")
	server.SetStreamHandler(protocol.NoticeID, func(s network.Stream) {
		time.Sleep(3 * hostileTimeout)
		_ = s.Reset()
	})
	notices := make([]protocol.Notice, protocol.MaxNotices)
	for i := range notices {
		notices[i].Transcript = otherVideo(t)
	}
	if err := protocol.SendNotices(t.Context(), client, server.ID(), notices, protocol.ClientConfig{Timeout: hostileTimeout}); err == nil {
		t.Error("no error")
	}
}

// The longest notice keeps the limit.
func TestLongestNotice(t *testing.T) {
	longest := &wire.Notice{Kind: &wire.Notice_Receipt{Receipt: make([]byte, protocol.MaxReceiptBytes)}}
	if n := proto.Size(longest); n > protocol.MaxNoticeBytes {
		t.Errorf("notice of %d bytes", n)
	}
}
