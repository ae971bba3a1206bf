package protocol_test

import (
	"bytes"
	"errors"
	"io/fs"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	corep2p "github.com/libp2p/go-libp2p/core/protocol"
	"google.golang.org/protobuf/proto"

	"github.com/vidsync/vidsync/protocol"
	"github.com/vidsync/vidsync/protocol/internal/wire"
)

// everything is a server's configuration that has something to refuse.
func everything(t testing.TB, peers *trusted) (protocol.ServerConfig, *shelf, *inbox, *safe) {
	shelf, inbox, safe := newShelf(entries(t, 1, 3)...), &inbox{}, &safe{secret: testSecret}
	return protocol.ServerConfig{
		Library:     newLibrary(splitVideo(t, 8, []byte("vidsync\n"), nil)),
		Peers:       peers,
		Catalogue:   shelf,
		Notices:     inbox,
		Transcripts: drawer{},
		Pairing:     safe,
	}, shelf, inbox, safe
}

// Who is not trusted hears the same, whatever is asked and whatever is here.
func TestStrangersHearNothing(t *testing.T) {
	video := otherVideo(t).Bytes()
	for _, test := range []struct {
		name    string
		id      corep2p.ID
		request proto.Message
	}{
		{"catalogue", protocol.CatalogueID, &wire.Follow{}},
		{"log that does not exist", protocol.CatalogueID, &wire.Follow{Log: []byte("short"), Seq: 5}},
		{"notice", protocol.NoticeID, &wire.Notice{Kind: &wire.Notice_Transcript{Transcript: video}}},
		{"notice of nothing", protocol.NoticeID, &wire.Notice{}},
		{"transcript", protocol.TranscriptID, &wire.Open{Video: video}},
	} {
		t.Run(test.name, func(t *testing.T) {
			server, client := newHosts(t, "quic")
			all, shelf, inbox, _ := everything(t, trust())
			for name, cfg := range map[string]protocol.ServerConfig{
				"all": all, "nothing": {Peers: trust()}, "nobody trusted": {Catalogue: shelf, Notices: inbox, Transcripts: drawer{}},
			} {
				stop := serve(t, server, cfg)
				answer, err := answerTo(t, client, server.ID(), test.id, encode(t, test.request))
				// The status has field 1 in every answer.
				if want := encode(t, &wire.Opened{Status: wire.Status_STATUS_REFUSED}); err != nil || !bytes.Equal(answer, want) {
					t.Errorf("%s: answer %x, %v, want %x", name, answer, err, want)
				}
				stop()
			}
			if shelf.asked() != 0 || len(inbox.notices()) != 0 {
				t.Error("a stranger's request was passed on")
			}
		})
	}
}

// A trusted peer is refused what the node does not do.
func TestNotConfigured(t *testing.T) {
	server, client := newHosts(t, "tcp")
	serve(t, server, protocol.ServerConfig{Peers: trust(client)})
	ctx, p := t.Context(), server.ID()
	follow := func([]protocol.Entry, protocol.Cursor) error { return nil }
	if err := protocol.FollowCatalogue(ctx, client, p, protocol.Cursor{}, follow, protocol.ClientConfig{}); !errors.Is(err, protocol.ErrRefused) {
		t.Errorf("catalogue: %v", err)
	}
	notice := []protocol.Notice{{Transcript: otherVideo(t)}}
	if err := protocol.SendNotices(ctx, client, p, notice, protocol.ClientConfig{}); !errors.Is(err, protocol.ErrRefused) {
		t.Errorf("notices: %v", err)
	}
	if _, err := protocol.FetchTranscript(ctx, client, p, otherVideo(t), []byte(capability), protocol.ClientConfig{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("transcript: %v", err)
	}
	if _, err := protocol.Pair(ctx, client, p, testSecret, "", nil, protocol.ClientConfig{}); !errors.Is(err, protocol.ErrRefused) {
		t.Errorf("pairing: %v", err)
	}
}

// Peers that break the rules are reset, in time, and the server goes on.
func TestHostilePeers(t *testing.T) {
	follow := encode(t, &wire.Follow{})
	notice := encode(t, &wire.Notice{Kind: &wire.Notice_Transcript{Transcript: otherVideo(t).Bytes()}})
	pairing := encode(t, &wire.PairRequest{Secret: testSecret})
	const violation, timeout = network.StreamProtocolViolation, network.StreamNoError
	for _, test := range []struct {
		name string
		id   corep2p.ID
		send []byte
		code network.StreamErrorCode
	}{
		{"no follow", protocol.CatalogueID, nil, timeout},
		{"half a follow", protocol.CatalogueID, []byte{20, 1}, timeout},
		{"oversize follow", protocol.CatalogueID, []byte{0x81, 0x02}, violation},
		{"garbage follow", protocol.CatalogueID, []byte{3, 0xff, 0xff, 0xff}, violation},
		{"bytes after follow", protocol.CatalogueID, append(bytes.Clone(follow), 0), violation},
		{"no notice", protocol.NoticeID, nil, timeout},
		{"half a notice", protocol.NoticeID, notice[:9], timeout},
		{"no second notice", protocol.NoticeID, notice, timeout},
		{"oversize notice", protocol.NoticeID, []byte{0x81, 0x04}, violation},
		{"garbage notice", protocol.NoticeID, append(bytes.Clone(notice), 3, 0x0a, 0x70, 1), violation},
		{"too many notices", protocol.NoticeID, bytes.Repeat(notice, protocol.MaxNotices+1), violation},
		{"no transcript request", protocol.TranscriptID, nil, timeout},
		{"oversize transcript request", protocol.TranscriptID, []byte{0x81, 0x40}, violation},
		{"garbage transcript request", protocol.TranscriptID, []byte{3, 0xff, 0xff, 0xff}, violation},
		{"no pair request", protocol.PairID, nil, timeout},
		{"half a pair request", protocol.PairID, pairing[:9], timeout},
		{"oversize pair request", protocol.PairID, []byte{0x81, 0x20}, violation},
		{"garbage pair request", protocol.PairID, []byte{3, 0x0a, 0x70, 1}, violation},
		{"name that is no text", protocol.PairID, []byte{3, 0x12, 1, 0xff}, violation},
	} {
		t.Run(test.name, func(t *testing.T) {
			server, client := newHosts(t, "tcp")
			cfg, _, inbox, _ := everything(t, trust(client))
			cfg.Timeout = longWait
			if test.code == timeout {
				cfg.Timeout = time.Second
			}
			serve(t, server, cfg)
			_, err := answerTo(t, client, server.ID(), test.id, test.send)
			reset, ok := errors.AsType[*network.StreamError](err)
			if !ok || !reset.Remote || reset.ErrorCode != test.code {
				t.Errorf("stream ended with %v, want a reset with code %#x", err, test.code)
			}
			before := len(inbox.notices())
			if before > protocol.MaxNotices {
				t.Errorf("%d notices were taken", before)
			}
			err = protocol.SendNotices(t.Context(), client, server.ID(), []protocol.Notice{{Transcript: otherVideo(t)}}, protocol.ClientConfig{})
			if err != nil || len(inbox.notices()) != before+1 {
				t.Errorf("after that: %v", err)
			}
		})
	}
}
