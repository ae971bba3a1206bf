package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/vidsync/vidsync/api"
)

// A file that was removed is spoken of in words that nobody takes for a loss.
func TestRemovedIsTold(t *testing.T) {
	day := time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC)
	r := &api.Removal{CID: "bafyreia", Path: "/srv/ingest/talk.mp4", Time: day,
		Holders: []api.RemovalHolder{{PeerID: "12D3KooWA", Name: "archive", Receipt: &day}, {PeerID: "12D3KooWB"}}}
	if got, want := stateOf(api.Video{State: "removed", Removed: r}), "removed, safe at archive, 12D3KooWB"; got != want {
		t.Errorf("ls says %q, want %q", got, want)
	}
	info := infoText(api.Info{CID: "bafyreia", State: "removed", Removed: r})
	for _, want := range []string{"state       removed", "removed from /srv/ingest/talk.mp4 on ", "safe at archive, 12D3KooWB then", "vidsync fetch bafyreia"} {
		if !strings.Contains(info, want) {
			t.Errorf("info does not say %q:\n%s", want, info)
		}
	}
}
