package daemon

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/protocol"
)

func liveStore(t *testing.T) *blockstore.Store {
	t.Helper()
	s, err := blockstore.Open(t.TempDir(), blockstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func putLive(t *testing.T, s *blockstore.Store, peer, id string) (key string) {
	t.Helper()
	spec := fetchSpec{Recording: recordingName(peer, id), Follow: &followedEntry{Peer: peer, RelPath: "a.ts"}}
	data, err := json.Marshal(liveRecord{Spec: spec})
	if err == nil {
		err = s.PutState(stateLive, liveKey(spec), data)
	}
	if err != nil {
		t.Fatal(err)
	}
	return liveKey(spec)
}

// What is not wanted ends a recording that was, unless nobody knows what it means.
func TestUnwantedEntries(t *testing.T) {
	s := liveStore(t)
	l := newFollowList(s)
	for name, c := range map[string]struct {
		e               protocol.Entry
		ended, unwanted bool
	}{
		"of a state that is not known": {e: protocol.Entry{Recording: "one", State: "later"}},
		"of another recording":         {e: protocol.Entry{Recording: "two", State: videoLive}},
		"of none":                      {e: protocol.Entry{Recording: " ", State: videoLive}},
		"of another name":              {e: protocol.Entry{Recording: "one", State: videoLive}, unwanted: true},
		"finished by another name":     {e: protocol.Entry{Recording: "two one"}, unwanted: true},
		"removed":                      {e: protocol.Entry{Recording: "one two", Removed: true}, ended: true},
	} {
		key := putLive(t, s, "peer", "one")
		changes, err := l.unwantedChanges("peer", c.e)
		if err == nil {
			err = s.Apply(changes...)
		}
		if err != nil {
			t.Fatal(err)
		}
		if r, err := l.live(key); err != nil || r.Ended != c.ended || r.Unwanted != c.unwanted {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	none := followRecord{}
	if none.wants(protocol.Entry{Recording: " ", State: videoLive}) || none.wants(protocol.Entry{State: "later"}) {
		t.Error("what cannot be followed is wanted")
	}
}

// A peer whose recordings never end leaves room for those of others.
func TestLiveJobsOfPeers(t *testing.T) {
	s := liveStore(t)
	n := &Node{store: s, jobs: newJobQueue(s, slog.New(slog.DiscardHandler))}
	for i := range 3 * maxLiveOfPeer {
		putLive(t, s, "a", fmt.Sprint(i))
	}
	putLive(t, s, "b", "one")
	for range 2 {
		if err := n.feedLive(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if of := n.jobs.liveQueued(); of["a"] != maxLiveOfPeer || of["b"] != 1 {
		t.Errorf("jobs %v", of)
	}
	for id := range n.jobs.tasks {
		if strings.HasPrefix(id, kindLive+"/a/") {
			n.jobs.stop(id)
			break
		}
	}
	if err := n.feedLive(t.Context()); err != nil {
		t.Fatal(err)
	}
	if of := n.jobs.liveQueued(); of["a"] != maxLiveOfPeer {
		t.Errorf("after one ended: jobs %v", of)
	}
}
