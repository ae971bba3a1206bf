package daemon

import (
	"strings"
	"testing"
	"time"

	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/protocol"
)

func TestOffer(t *testing.T) {
	n := testNode(t)
	put := func(seed byte, change func(*blockstore.Video)) blockstore.Video {
		m := testVideo(t, seed)
		v := blockstore.Video{CID: m.CID(), Name: "talk.mp4", RelPath: "day 1/talk.mp4", MediaType: "video/mp4", Size: m.Size(), State: videoWhole, Added: time.Unix(1, 0)}
		change(&v)
		if err := n.store.PutVideo(v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	whole := put(1, func(*blockstore.Video) {})
	put(2, func(v *blockstore.Video) { v.State = videoRemoved })
	live := put(5, func(v *blockstore.Video) { v.State, v.Recording = videoLive, "r" })
	odd := put(3, func(v *blockstore.Video) {
		v.Name, v.RelPath, v.MediaType = strings.Repeat("ä", 200)+"\xff", strings.Repeat("a", 5000), strings.Repeat("m", 200)
	})
	gone := put(4, func(*blockstore.Video) {})
	o := offer{n.store}
	_, changed, err := o.Entries(t.Context(), 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.store.RemoveVideo(gone.CID); err != nil {
		t.Fatal(err)
	}
	select {
	case <-changed:
	default:
		t.Error("nobody is told of a change")
	}
	entries, _, err := o.Entries(t.Context(), 0, 10)
	if err != nil || len(entries) != 4 {
		t.Fatalf("%d entries, %v; want the two that are whole, the one that is recorded, and the removal", len(entries), err)
	}
	if e := entries[0]; e.Video != whole.CID || e.Name != whole.Name || e.RelPath != whole.RelPath || e.Size != whole.Size || !e.Added.Equal(whole.Added) || e.State != videoWhole {
		t.Errorf("entry %+v of %+v", e, whole)
	}
	if e := entries[1]; e.Video != live.CID || e.State != videoLive || e.Recording != "r" {
		t.Errorf("a recording: %+v", e)
	}
	if e := entries[2]; e.Video != odd.CID || len(e.Name) != 254 || e.RelPath != "" || e.MediaType != "" {
		t.Errorf("a video with odd texts: %+v", e)
	}
	if e := entries[3]; e.Video != gone.CID || !e.Removed {
		t.Errorf("a removed video: %+v", e)
	}
	if first, _, err := o.Entries(t.Context(), entries[0].Seq, 1); err != nil || len(first) != 1 || first[0].Video != live.CID {
		t.Errorf("the one after the first: %+v, %v", first, err)
	}
	var _ protocol.Catalogue = o
}
