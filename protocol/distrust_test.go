package protocol_test

import (
	"bufio"
	"errors"
	"io"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	"google.golang.org/protobuf/encoding/protodelim"

	"github.com/vidsync/vidsync/protocol"
	"github.com/vidsync/vidsync/protocol/internal/wire"
)

// A catalogue stream on which nothing happens ends with the trust in its peer,
// without waiting for a change or a sign of life. Other peers keep theirs.
func TestDistrustEndsIdleFollowers(t *testing.T) {
	onEachTransport(t, func(t *testing.T, transport string) {
		server, client := newHosts(t, transport)
		other := newHost(t, transport)
		connect(t, other, server)
		peers, shelf := trust(client, other), newShelf(entries(t, 1, 3)...)
		s, _ := start(t, server, protocol.ServerConfig{Peers: peers, Catalogue: shelf})
		gone := follow(t, client, server.ID(), protocol.Cursor{}, protocol.ClientConfig{})
		kept := follow(t, other, server.ID(), protocol.Cursor{}, protocol.ClientConfig{})
		for _, f := range []*follower{gone, kept} {
			eventually(t, "entries", func() bool { return f.count() == 3 })
		}
		s.Reauthorize()
		shelf.add(entries(t, 4, 4)...)
		for _, f := range []*follower{gone, kept} {
			eventually(t, "an entry after nothing was taken away", func() bool { return f.count() == 4 })
		}
		peers.revoke(client.ID())
		s.Reauthorize()
		if err := gone.wait(); !errors.Is(err, protocol.ErrRefused) {
			t.Errorf("ended with %v", err)
		}
		shelf.add(entries(t, 5, 5)...)
		eventually(t, "an entry at another peer", func() bool { return kept.count() == 5 })
		if n := gone.count(); n != 4 {
			t.Errorf("who is not trusted has %d entries", n)
		}
	})
}

// So does a notice stream between two notices.
func TestDistrustEndsNotices(t *testing.T) {
	server, client := newHosts(t, "tcp")
	peers, inbox := trust(client), &inbox{}
	s, _ := start(t, server, protocol.ServerConfig{Peers: peers, Notices: inbox})
	stream := openRaw(t, client, server.ID(), protocol.NoticeID)
	notice := &wire.Notice{Kind: &wire.Notice_Transcript{Transcript: otherVideo(t).Bytes()}}
	if _, err := stream.Write(encode(t, notice)); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(stream)
	var answer wire.NoticeAnswer
	if err := protodelim.UnmarshalFrom(in, &answer); err != nil || answer.Status != wire.Status_STATUS_OK {
		t.Fatalf("answer %v, %v", &answer, err)
	}
	peers.revoke(client.ID())
	s.Reauthorize()
	_, err := io.ReadAll(in)
	reset, ok := errors.AsType[*network.StreamError](err)
	if !ok || !reset.Remote || reset.ErrorCode != 0x10002 {
		t.Errorf("stream ended with %v", err)
	}
}
