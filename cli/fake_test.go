package cli_test

import (
	"context"
	"io"
	"iter"
	"sync/atomic"
	"time"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/daemon"
)

// day is when everything happens in these tests.
var day = time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC)

const (
	cidA  = "bafyreia"
	cidB  = "bafyreib"
	peerA = "12D3KooWAAAAAAstage2"
)

// fakeNode answers with what a test gives it and keeps the last request.
type fakeNode struct {
	add        api.AddResult
	fetch      api.FetchResult
	verify     api.VerifyResult
	transcript api.Transcript
	checks     []api.Check
	videos     []api.Video
	err        error
	progress   []api.Progress
	wait       func(context.Context) error // long calls stay in it

	request any
}

// newFakeNode is a node where all is well.
func newFakeNode() *fakeNode {
	return &fakeNode{
		add: api.AddResult{Added: []api.Added{{CID: cidA, Name: "talk.mp4", Path: "/v/talk.mp4", Size: 10e9}}},
		fetch: api.FetchResult{
			CID: cidA, Path: "/v/talk.mp4", Size: 10e9, BytesReceived: 8e9, ResumedBytes: 2e9, DuplicateBytes: 1e6, Seconds: 80,
			Peers:      []api.PeerShare{{PeerID: peerA, Bytes: 6e9}, {PeerID: "12D3KooWBBBBBBcam001", Bytes: 2e9}},
			Transcript: &api.Transcript{State: "done", Files: []string{"/v/talk.srt"}},
		},
		verify:     api.VerifyResult{Videos: []api.Verified{{CID: cidA, Name: "talk.mp4", OK: true, Bytes: 10e9}}},
		transcript: api.Transcript{State: "done", Files: []string{"/v/talk.json", "/v/talk.srt"}, Language: "en", Engine: "whisper"},
		checks:     []api.Check{{Name: "clock", State: "ok", Detail: "in step"}, {Name: "udp buffers", State: "warning", Detail: "208 KiB", Remedy: "sysctl -w net.core.rmem_max=7500000"}},
		videos: []api.Video{
			{CID: cidA, Name: "talk.mp4", Size: 10e9, Have: 10e9, Added: day, State: "whole", Path: "/v/talk.mp4", Transcript: "done"},
			{CID: "bafyreid", Name: "rot.mp4", Size: 3e6, Have: 2e6, Added: day, State: "damaged", Path: "/v/rot.mp4",
				Damage: []api.Damage{{Path: "/v/rot.mp4", Block: 0, Piece: 1, Offset: 1 << 20, Length: 1 << 20, Reason: "wrong bytes"}}},
			{CID: cidB, Name: "évil\x1b[2J\n.mkv", Size: 2e9, Have: 1e9, Added: day, State: "partial"},
		},
	}
}

func (f *fakeNode) long(ctx context.Context, req any, emit func(api.Progress)) error {
	f.request = req
	for _, p := range f.progress {
		emit(p)
	}
	if f.wait != nil {
		return f.wait(ctx)
	}
	return f.err
}

func (f *fakeNode) ID(context.Context) (api.Identity, error) {
	return api.Identity{PeerID: peerA, Addrs: []string{"/ip4/192.0.2.7/tcp/4101/p2p/" + peerA}}, f.err
}

func (f *fakeNode) Add(ctx context.Context, req api.AddRequest, emit func(api.Progress)) (api.AddResult, error) {
	return f.add, f.long(ctx, req, emit)
}

func (f *fakeNode) Fetch(ctx context.Context, req api.FetchRequest, emit func(api.Progress)) (api.FetchResult, error) {
	return f.fetch, f.long(ctx, req, emit)
}

func (f *fakeNode) Ticket(_ context.Context, req api.TicketRequest) (api.Ticket, error) {
	f.request = req
	return api.Ticket{Ticket: "vidsync1TICKET", CID: cidA, Name: "talk.mp4", Expires: day}, f.err
}

func (f *fakeNode) Revoke(_ context.Context, ref string) (api.Revoked, error) {
	f.request = ref
	return api.Revoked{CID: cidA, All: ref == "ref"}, f.err
}

func (f *fakeNode) Peers(context.Context) ([]api.Peer, error) {
	return []api.Peer{f.peer(), {PeerID: "12D3KooWBBBBBBcam001", Banned: true, BannedReason: "wrong bytes",
		Ban: &api.Ban{CID: cidA, Block: 2, Piece: 3, Time: day, Reason: "wrong bytes"}}}, f.err
}

func (f *fakeNode) peer() api.Peer {
	return api.Peer{Name: "stage2", PeerID: peerA, Addrs: []string{"/ip4/192.0.2.7/tcp/4101"}, Trusted: true, Connected: true,
		Transport: "tcp", RateIn: 112e6, RoundTripMS: 12.34, BytesIn: 6e9}
}

func (f *fakeNode) Invite(_ context.Context, req api.InviteRequest) (api.Invite, error) {
	f.request = req
	return api.Invite{Invite: "vidsyncinvite1SECRET", PeerID: f.peer().PeerID, Expires: day}, f.err
}

func (f *fakeNode) Join(_ context.Context, req api.JoinRequest) (api.Peer, error) {
	f.request = req
	return f.peer(), f.err
}

func (f *fakeNode) AddPeer(_ context.Context, req api.AddPeerRequest) (api.Peer, error) {
	f.request = req
	return f.peer(), f.err
}

func (f *fakeNode) RemovePeer(_ context.Context, ref string) (api.Peer, error) {
	f.request = ref
	return f.peer(), f.err
}

func (f *fakeNode) followed() api.Follow {
	return api.Follow{Name: "stage2", PeerID: peerA, Into: "/v/stage2", Globs: []string{"*.mp4", "*.mov"}, NewestFirst: true,
		Since: day, Seq: 7, Waiting: 3, State: "waiting", Message: "cannot be reached"}
}

func (f *fakeNode) Follow(_ context.Context, req api.FollowRequest) (api.Follow, error) {
	f.request = req
	return f.followed(), f.err
}

func (f *fakeNode) Unfollow(_ context.Context, ref string) (api.Follow, error) {
	f.request = ref
	return f.followed(), f.err
}

func (f *fakeNode) Follows(context.Context) ([]api.Follow, error) {
	return []api.Follow{f.followed(), {PeerID: "12D3KooWBBBBBBcam001", Into: "/v/cam", Since: day, State: "following"}}, f.err
}

func (f *fakeNode) Receipts(_ context.Context, ref string) (api.Receipts, error) {
	f.request = ref
	return api.Receipts{CID: cidA, Name: "talk.mp4", Size: 10e9, Safe: 1, Receipts: []api.Receipt{
		{Name: "stage2", Trusted: true, Video: cidA, Size: 10e9, At: day, Holder: peerA, Signed: "76", Signature: "01"},
		{Video: cidA, Size: 10e9, At: day, Holder: "12D3KooWBBBBBBcam001", Signed: "76", Signature: "02"}}}, f.err
}

func (f *fakeNode) Videos(context.Context) iter.Seq2[api.Video, error] {
	return func(yield func(api.Video, error) bool) {
		for _, v := range f.videos {
			if f.err != nil || !yield(v, nil) {
				break
			}
		}
		if f.err != nil {
			yield(api.Video{}, f.err)
		}
	}
}

func (f *fakeNode) Info(_ context.Context, ref string) (api.Info, error) {
	f.request = ref
	return api.Info{CID: cidA, Name: "talk.mp4", Size: 40e6, BlockSize: 32 << 20, Path: "/v/talk.mp4", State: "whole", Added: day,
		Blocks:      []api.Block{{CID: "bafkreix", Size: 32 << 20, Have: true}, {CID: "bafkreiy", Size: 40e6 - 32<<20}},
		Files:       []string{"/v/talk.mp4", "/w/copy.mp4"},
		Transcripts: []string{"/v/talk.srt"}}, f.err
}

func (f *fakeNode) Status(context.Context) (api.Status, error) {
	return api.Status{PeerID: peerA, Version: "v1", Daemon: true, Started: day, Addrs: []string{"/ip4/192.0.2.7/tcp/4101"},
		Videos: 2, Bytes: 11e9, Peers: 1, RateIn: 112e6, BytesIn: 6e9, MemoryBytes: 80e6, DiskFree: 400e9, Limits: limits(), Resources: api.Resources{
			NetworkMemory: api.Usage{Used: 12e6, Limit: 268e6}, PieceMemory: api.Usage{Used: 3e6, Limit: 100e6},
			Connections: api.Usage{Used: 2, Limit: 192}, Streams: api.Usage{Used: 7}, OpenFiles: api.Usage{Used: 40, Limit: 1024}},
		Jobs: jobs()}, f.err
}

func limits() api.Limits {
	next := day.Add(9*time.Hour + 30*time.Minute)
	return api.Limits{Up: 2e6, SetUp: 10e6, Schedule: "08:00,up=2M 19:00,off", NextChange: &next, Own: true}
}

func (f *fakeNode) Limit(_ context.Context, req api.LimitRequest) (api.Limits, error) {
	f.request = req
	return limits(), f.err
}

func jobs() []api.Job {
	return []api.Job{{ID: "j1", Kind: "fetch", CID: cidB, State: "waiting", Message: "no space left", Attempts: 2, Created: day, Updated: day,
		Progress: &api.Progress{Phase: "fetching", Done: 1e9, Size: 2e9}}}
}

func (f *fakeNode) Jobs(context.Context) ([]api.Job, error)     { return jobs(), f.err }
func (f *fakeNode) Doctor(context.Context) ([]api.Check, error) { return f.checks, f.err }

func (f *fakeNode) Cat(ctx context.Context, req api.CatRequest, w io.Writer) error {
	f.request = req
	if f.err == nil {
		io.WriteString(w, "bytes")
	}
	return f.err
}

func (f *fakeNode) Verify(ctx context.Context, req api.VerifyRequest, emit func(api.Progress)) (api.VerifyResult, error) {
	return f.verify, f.long(ctx, req, emit)
}

func (f *fakeNode) Remove(_ context.Context, req api.RemoveRequest) (api.Freed, error) {
	f.request = req
	return api.Freed{CID: cidA, Name: "talk.mp4", IndexItems: 320, Bytes: 3e6, Kept: []string{"/v/talk.mp4"}}, f.err
}

func (f *fakeNode) GC(context.Context) (api.Freed, error) {
	return api.Freed{IndexItems: 1, Bytes: 64e6}, f.err
}

func (f *fakeNode) Transcribe(ctx context.Context, req api.TranscribeRequest, emit func(api.Progress)) (api.Transcript, error) {
	return f.transcript, f.long(ctx, req, emit)
}

func (f *fakeNode) TranscriptText(_ context.Context, req api.TranscriptRequest, w io.Writer) error {
	f.request = req
	if f.err == nil {
		io.WriteString(w, "go forward ten meters\n")
	}
	return f.err
}

// fakeEngine is a fakeNode inside the command's process.
type fakeEngine struct {
	*fakeNode
	runErr error // what Run fails with at once; nil: it runs until told to stop

	running, closed atomic.Int32
}

func (e *fakeEngine) Reload(daemon.Config) error { return nil }

func (e *fakeEngine) Run(ctx context.Context) error {
	e.running.Add(1)
	if e.runErr != nil {
		return e.runErr
	}
	<-ctx.Done()
	return ctx.Err()
}

func (e *fakeEngine) Close() error {
	e.closed.Add(1)
	return nil
}

func (f *fakeNode) Watches(context.Context) ([]api.Watch, error) {
	return []api.Watch{f.watch(), {
		Dir: "/mnt/card", Glob: []string{"*.mxf", "*.mov"}, Settle: 60, State: "unavailable", Since: &day, Message: "no such file or directory",
		Failed: []api.Failure{{Path: "/mnt/card/a.mov", Code: api.CodeOther, Error: "permission denied"}},
	}}, f.err
}

func (f *fakeNode) watch() api.Watch {
	return api.Watch{Dir: "/srv/ingest", Settle: 10, State: "watching", Added: 12,
		Last:        &api.WatchedVideo{CID: cidA, Path: "/srv/ingest/talk.mp4", Time: day},
		RemoveAfter: 1, RemoveHolders: removal.Holders[:1], Removed: 11, LastRemoved: removal,
		Adding: &api.Progress{Phase: "hashing", Name: "/srv/ingest/b.mp4", Done: 1e9, Size: 4e9}}
}

func (f *fakeNode) AddWatch(_ context.Context, req api.AddWatchRequest) (api.Watch, error) {
	f.request = req
	return f.watch(), f.err
}

func (f *fakeNode) RemoveWatch(_ context.Context, dir string) (api.Watch, error) {
	f.request = dir
	return f.watch(), f.err
}

var removal = &api.Removal{CID: cidA, Path: "/srv/ingest/old.mp4", Size: 4e9, Time: day,
	Holders: []api.RemovalHolder{{PeerID: "12D3KooWAAAAAAstage2", Name: "stage2"}}}
