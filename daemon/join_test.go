package daemon_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/vidsync/vidsync/api"
)

// later starts a fetch that nobody waits for, and that has nobody to ask.
func (n *testNode) later(t *testing.T, req api.FetchRequest) {
	t.Helper()
	req.Detach = true
	if _, err := n.Fetch(t.Context(), req, nil); err != nil {
		t.Fatal(err)
	}
}

func TestJoiningFetchBringsItsTicket(t *testing.T) {
	t.Parallel() // it mostly waits
	a, b := startNode(t), startNode(t)
	path, data := randomFile(t, "talk.mp4", oddSize, 50)
	added := a.add(t, path)
	b.later(t, api.FetchRequest{Ref: added.CID})
	res, err := b.Fetch(t.Context(), api.FetchRequest{Ref: a.ticket(t, added.CID)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	sameFile(t, res.Path, data)
}

func TestJoiningFetchHasItsOwnPlace(t *testing.T) {
	t.Parallel() // it mostly waits
	a, b := startNode(t), startNode(t)
	path, data := randomFile(t, "talk.mp4", oddSize, 51)
	added := a.add(t, path)
	first, second := filepath.Join(t.TempDir(), "first.mp4"), filepath.Join(t.TempDir(), "second.mp4")
	b.later(t, api.FetchRequest{Ref: added.CID, Output: first})
	res, err := b.Fetch(t.Context(), api.FetchRequest{Ref: a.ticket(t, added.CID), Output: second}, nil)
	if err != nil || res.Path != second {
		t.Fatalf("fetched to %s, %v, want %s", res.Path, err, second)
	}
	sameFile(t, first, data)
	sameFile(t, second, data)
	if res.BytesReceived != 0 {
		t.Errorf("received %d bytes that were here", res.BytesReceived)
	}
}

func TestTimeoutLeavesAnothersFetchAlone(t *testing.T) {
	t.Parallel() // it mostly waits
	n := startNode(t)
	n.later(t, api.FetchRequest{Ref: nobodyHas})
	_, err := n.Fetch(t.Context(), api.FetchRequest{Ref: nobodyHas, Timeout: 100 * time.Millisecond}, nil)
	wantCode(t, err, api.CodeUnavailable)
	jobs, err := n.Jobs(t.Context())
	if err != nil || len(jobs) != 1 {
		t.Errorf("jobs: %+v, %v, want the one that was left to the daemon", jobs, err)
	}
}

func TestResumedFetchKeepsItsName(t *testing.T) {
	t.Parallel() // it mostly waits
	a, b := startNode(t), startNode(t)
	added, _ := interrupted(t, a, b, "talk.mp4", 52)
	res, err := b.Fetch(t.Context(), api.FetchRequest{Ref: added.CID, Peers: []string{a.addr(t)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Base(res.Path) != "talk.mp4" {
		t.Errorf("resumed as %s", filepath.Base(res.Path))
	}
}

// Who signs a ticket for a video that this node has anyway may know no more of
// it than its CID, so others who bear that ticket get nothing here.
func TestTicketOfWhoBroughtNothing(t *testing.T) {
	t.Parallel() // it mostly waits
	owner, signer, bearer := startNode(t), startNode(t), startNode(t)
	path, data := randomFile(t, "secret.mp4", 3*mib, 53)
	added := owner.add(t, path)
	same, _ := randomFile(t, "same.mp4", 3*mib, 53)
	ticket := signer.ticket(t, signer.add(t, same).CID)
	signer.stop()

	out := filepath.Join(t.TempDir(), "copy.mp4")
	if _, err := owner.Fetch(t.Context(), api.FetchRequest{Ref: ticket, Output: out}, nil); err != nil {
		t.Fatal(err)
	}
	sameFile(t, out, data)
	_, err := bearer.Fetch(t.Context(), api.FetchRequest{Ref: ticket, Peers: []string{owner.addr(t)}, Timeout: shortWait}, nil)
	wantCode(t, err, api.CodeUnavailable)
	if videos, err := api.Collect(bearer.Videos(t.Context())); err != nil || len(videos) > 1 || len(videos) == 1 && videos[0].Size != 0 {
		t.Errorf("the bearer knows of %+v, %v; cid %s", videos, err, added.CID)
	}
}

func TestTicketForAFileWhoseNameIsNoText(t *testing.T) {
	a, b := startNode(t), startNode(t)
	path, _ := randomFile(t, "caf\xe9.mp4", mib, 54)
	res, err := b.Fetch(t.Context(), api.FetchRequest{Ref: a.ticket(t, a.add(t, path).CID)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Base(res.Path) != "caf_.mp4" {
		t.Errorf("fetched as %q", filepath.Base(res.Path))
	}
}
