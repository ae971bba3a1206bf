package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/manifest"
)

// ticketFor signs a ticket of a running node and returns it with its capability.
func ticketFor(t *testing.T, n *Node, ref string) (string, invitation) {
	t.Helper()
	made, err := n.Ticket(t.Context(), api.TicketRequest{Ref: ref})
	if err != nil {
		t.Fatal(err)
	}
	inv, err := parseTicket(made.Ticket)
	if err != nil {
		t.Fatal(err)
	}
	return made.Ticket, inv
}

func TestRevoke(t *testing.T) {
	n := runningNode(t)
	_, bearer := testKey(t)
	_, _, m := addRandom(t, n, 10)
	_, _, other := addRandom(t, n, 11)
	ref := m.CID().String()
	refused := func(inv invitation) bool {
		_, err := n.Authorize(bearer, inv.Video, inv.Bytes)
		if err != nil && !errors.Is(err, errRevoked) {
			t.Fatal(err)
		}
		return err != nil
	}
	first, one := ticketFor(t, n, ref)
	_, two := ticketFor(t, n, ref)
	_, foreign := ticketFor(t, n, other.CID().String())
	if refused(one) || refused(two) {
		t.Fatal("a new ticket is refused")
	}
	if out, err := n.Revoke(t.Context(), first); err != nil || out != (api.Revoked{CID: ref}) {
		t.Fatalf("revoke one: %+v, %v", out, err)
	}
	if !refused(one) || refused(two) {
		t.Errorf("after one was revoked: it is refused %v, the other %v", refused(one), refused(two))
	}
	if _, err := n.Fetch(t.Context(), api.FetchRequest{Ref: first}, nil); api.CodeOf(err) != api.CodeRefused {
		t.Errorf("used here: %v", err)
	}
	if out, err := n.Revoke(t.Context(), ref); err != nil || out != (api.Revoked{CID: ref, All: true}) {
		t.Fatalf("revoke all: %+v, %v", out, err)
	}
	_, three := ticketFor(t, n, ref)
	again, err := openRevokedList(n.revoked.path)
	if err != nil {
		t.Fatal(err)
	}
	n.revoked = again
	if !refused(one) || !refused(two) || refused(three) || refused(foreign) {
		t.Errorf("after all were revoked: refused are %v, %v, a newer one %v, one for another video %v", refused(one), refused(two), refused(three), refused(foreign))
	}
}

// A transfer under way ends with its ticket.
func TestRevokeEndsTransfers(t *testing.T) {
	t.Parallel() // it mostly waits
	a, b := runningNode(t), runningNode(t)
	_, _, m := addRandom(t, a, 8*manifest.PieceSize)
	if _, err := a.Limit(t.Context(), api.LimitRequest{Up: new("500K")}); err != nil {
		t.Fatal(err)
	}
	ticket, _ := ticketFor(t, a, m.CID().String())
	fetched := make(chan error, 1)
	go func() {
		_, err := b.Fetch(t.Context(), api.FetchRequest{Ref: ticket, Timeout: 8 * time.Second}, nil)
		fetched <- err
	}()
	for f := (*fetch)(nil); ; time.Sleep(10 * time.Millisecond) {
		if len(fetched) > 0 {
			t.Fatalf("before it was revoked: %v", <-fetched)
		}
		if f = b.lib.fetching(m.CID()); f == nil {
			continue
		}
		if have, _ := f.file.Load().Holdings(); have.Pieces() > 0 {
			break
		}
	}
	if _, err := a.Revoke(t.Context(), ticket); err != nil {
		t.Fatal(err)
	}
	if err := <-fetched; api.CodeOf(err) != api.CodeUnavailable || !strings.Contains(err.Error(), "refused by "+a.self.String()) {
		t.Errorf("fetch: %v", err)
	}
}

func TestRevokeOfOthers(t *testing.T) {
	n := testNode(t)
	if _, err := n.Revoke(t.Context(), testTicket(t)); api.CodeOf(err) != api.CodeRefused {
		t.Errorf("a ticket of another node: %v", err)
	}
	if _, err := n.Revoke(t.Context(), "nothing"); api.CodeOf(err) != api.CodeNotFound {
		t.Errorf("no ticket: %v", err)
	}
}

// A clock that was set back makes no ticket that is revoked already, and
// tickets of unknown age count as old.
func TestRevokedByTime(t *testing.T) {
	list, err := openRevokedList(filepath.Join(t.TempDir(), "revoked.json"))
	if err != nil {
		t.Fatal(err)
	}
	now, video := time.Now(), testVideo(t, 1).CID()
	if err := list.add(revocation{Video: video.String(), Upto: now.UnixMilli(), Obsolete: now.Add(time.Hour)}, now); err != nil {
		t.Fatal(err)
	}
	if list.check(capability{Video: video, Issued: list.issue(video, now.Add(-time.Hour))}) != nil {
		t.Error("a ticket made after the clock was set back is refused")
	}
	if list.check(capability{Video: video}) == nil {
		t.Error("a ticket of unknown age is not refused")
	}
}

func TestRevocationsAreBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "revoked.json")
	list, err := openRevokedList(path)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for i := range maxRevoked - 1 {
		list.all = append(list.all, revocation{Video: "v", ID: strconv.Itoa(i), Obsolete: now.Add(time.Hour)})
	}
	add := func(id string, now time.Time) error {
		return list.add(revocation{Video: "v", ID: id, Obsolete: now.Add(2 * time.Hour)}, now)
	}
	for _, id := range []string{"last", "last"} { // the same twice counts once
		if err := add(id, now); err != nil {
			t.Fatal(err)
		}
	}
	if add("too many", now) == nil {
		t.Errorf("%d revocations are remembered", len(list.all))
	}
	if err := add("later", now.Add(90*time.Minute)); err != nil || len(list.all) != 2 {
		t.Errorf("once others are obsolete: %v, %d are left", err, len(list.all))
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openRevokedList(path); err == nil {
		t.Error("a damaged list is taken for an empty one")
	}
}
