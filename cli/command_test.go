package cli_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/cli"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestOutput compares what every command prints, for people, with -q and with
// --json, with its golden file.
func TestOutput(t *testing.T) {
	damaged := newFakeNode()
	damaged.verify.Videos = append(damaged.verify.Videos,
		api.Verified{CID: cidB, Name: "b.mkv", Bad: []api.Damage{{Path: "/v/b.mkv", Block: 3, Piece: 7, Offset: 107 << 20, Length: 1 << 20, Reason: "wrong bytes"}}},
		api.Verified{CID: "bafyreic", Error: &api.Error{Code: api.CodeNotFound, Message: "no such video"}})
	partly := newFakeNode()
	partly.add.Failed = []api.Failure{{Path: "/v/gone.mp4", Code: api.CodeNotFound, Error: "no such file"}}
	ill := newFakeNode()
	ill.checks = append(ill.checks, api.Check{Name: "ffmpeg", State: "problem", Detail: "not found", Remedy: "apt install ffmpeg"})
	broken := newFakeNode()
	broken.fetch.Transcript = &api.Transcript{State: "failed", Message: "engine died"}
	none := newFakeNode()
	none.videos = nil
	well := newFakeNode()
	for _, test := range []struct {
		name string
		node *fakeNode
		args string
	}{
		{"add", well, "add a"},
		{"add-partly", partly, "add a b"},
		{"fetch", well, "fetch ref"},
		{"fetch-detach", well, "fetch --detach ref"},
		{"fetch-no-transcript", broken, "fetch ref"},
		{"ticket", well, "ticket ref"},
		{"ticket-revoke", well, "ticket --revoke ref"},
		{"id", well, "id"},
		{"invite", well, "invite"},
		{"join", well, "join vidsyncinvite1x"},
		{"peer-add", well, "peer add --name stage2 addr"},
		{"peer-rm", well, "peer rm stage2"},
		{"peer-ls", well, "peer ls"},
		{"follow", well, "follow stage2"},
		{"follow-ls", well, "follow ls"},
		{"unfollow", well, "unfollow stage2"},
		{"receipts", well, "receipts ref"},
		{"receipts-unsafe", well, "receipts --safe 2 ref"},
		{"ls", well, "ls"},
		{"ls-none", none, "ls"},
		{"info", well, "info ref"},
		{"status", well, "status"},
		{"cat", well, "cat ref"},
		{"verify", well, "verify ref"},
		{"verify-damaged", damaged, "verify a b c"},
		{"rm", well, "rm ref"},
		{"gc", well, "gc"},
		{"transcribe", well, "transcribe ref"},
		{"transcript", well, "transcript ref"},
		{"jobs", well, "jobs"},
		{"limit", well, "limit"},
		{"watch-ls", well, "watch ls"},
		{"watch-add", well, "watch add /srv/ingest"},
		{"watch-rm", well, "watch rm /srv/ingest"},
		{"doctor", well, "doctor"},
		{"doctor-problem", ill, "doctor"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got strings.Builder
			for _, mode := range []string{"", "-q ", "--json "} {
				line := mode + test.args
				o := run(t, cli.Nodes{Daemon: test.node}, nil, strings.Fields(line)...)
				fmt.Fprintf(&got, "$ vidsync %s\n%s[stderr]\n%s[exit %d]\n\n", line, o.stdout, o.stderr, o.code)
			}
			golden(t, test.name, got.String())
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// TestRequest checks what the node is asked for.
func TestRequest(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(here, name) }
	for _, test := range []struct {
		args string
		env  []string
		want any
	}{
		{args: "add --copy --name N x.mp4", want: api.AddRequest{Paths: []string{at("x.mp4")}, Name: "N", Copy: true}},
		{args: "add a dir/ /abs/c", want: api.AddRequest{Paths: []string{at("a"), at("dir") + "/", "/abs/c"}}},
		{args: "fetch ref", want: api.FetchRequest{Ref: "ref"}},
		{args: "fetch -o out.mp4 --peer /a --peer /b --timeout 90s --no-transcribe --detach ref",
			want: api.FetchRequest{Ref: "ref", Output: at("out.mp4"), Peers: []string{"/a", "/b"}, Timeout: 90 * time.Second, NoTranscribe: true, Detach: true}},
		{args: "fetch ref", env: []string{"VIDSYNC_PEER=/a,/b", "VIDSYNC_TIMEOUT=2m", "VIDSYNC_NO_TRANSCRIBE=1"},
			want: api.FetchRequest{Ref: "ref", Peers: []string{"/a", "/b"}, Timeout: 2 * time.Minute, NoTranscribe: true}},
		{args: "fetch --peer /c ref", env: []string{"VIDSYNC_PEER=/a"}, want: api.FetchRequest{Ref: "ref", Peers: []string{"/c"}}},
		{args: "ticket --expires 7d ref", want: api.TicketRequest{Ref: "ref", Expires: 7 * 24 * time.Hour}},
		{args: "ticket --revoke vidsync1x", want: "vidsync1x"},
		{args: "peer add --name n /addr", want: api.AddPeerRequest{Addr: "/addr", Name: "n"}},
		{args: "peer rm n", want: "n"},
		{args: "follow --into box --glob *.mp4 --glob day*/* --newest-first stage2",
			want: api.FollowRequest{Peer: "stage2", Into: at("box"), Globs: []string{"*.mp4", "day*/*"}, NewestFirst: true}},
		{args: "unfollow stage2", want: "stage2"},
		{args: "receipts --safe 1 ref", want: "ref"},
		{args: "info ref", want: "ref"},
		{args: "cat ref", want: api.CatRequest{Ref: "ref", Length: -1}},
		{args: "cat --offset 1MiB --length 4096 ref", want: api.CatRequest{Ref: "ref", Offset: 1 << 20, Length: 4096}},
		{args: "limit", want: api.LimitRequest{}},
		{args: "limit --up 10M --down off --schedule 08:00,2M --reset",
			want: api.LimitRequest{Reset: true, Up: new("10M"), Down: new("off"), Schedule: new("08:00,2M")}},
		{args: "limit --schedule=", want: api.LimitRequest{Schedule: new("")}},
		{args: "watch add --glob *.mxf --glob *.mov --settle 1m in", want: api.AddWatchRequest{Dir: at("in"), Glob: []string{"*.mxf", "*.mov"}, Settle: time.Minute}},
		{args: "watch add /in", env: []string{"VIDSYNC_GLOB=*.mxf,*.mov"}, want: api.AddWatchRequest{Dir: "/in", Glob: []string{"*.mxf", "*.mov"}}},
		{args: "watch add --remove-after 2 --remove-holder a --remove-holder b in", want: api.AddWatchRequest{Dir: at("in"), RemoveAfter: new(2), RemoveHolders: []string{"a", "b"}}},
		{args: "watch add --remove-after 0 in", want: api.AddWatchRequest{Dir: at("in"), RemoveAfter: new(0)}},
		{args: "watch rm in", want: at("in")},
		{args: "verify --repair a b", want: api.VerifyRequest{Refs: []string{"a", "b"}, Repair: true}},
		{args: "rm --files ref", want: api.RemoveRequest{Ref: "ref", Files: true}},
		{args: "transcribe --engine whisper --language de ref", want: api.TranscribeRequest{Ref: "ref", Engine: "whisper", Language: "de"}},
		{args: "transcribe main_test.go", want: api.TranscribeRequest{Ref: at("main_test.go")}},
		{args: "transcribe no/such.mp4", want: api.TranscribeRequest{Ref: at("no/such.mp4")}},
		{args: "transcript --format srt ref", want: api.TranscriptRequest{Ref: "ref", Format: "srt"}},
	} {
		t.Run(test.args, func(t *testing.T) {
			node := newFakeNode()
			o := run(t, cli.Nodes{Daemon: node}, test.env, strings.Fields(test.args)...)
			if o.code != 0 {
				t.Fatalf("exit code %d: %s", o.code, o.stderr)
			}
			if !reflect.DeepEqual(node.request, test.want) {
				t.Errorf("asked for %+v, want %+v", node.request, test.want)
			}
		})
	}
}

// TestCatNothing asks for no bytes, and so for no node.
func TestCatNothing(t *testing.T) {
	if o := run(t, cli.Nodes{}, nil, "cat", "--length", "0", "ref"); o != (outcome{}) {
		t.Errorf("got %+v, want nothing", o)
	}
}
