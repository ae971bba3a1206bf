package daemon

import (
	"testing"
	"time"
)

// A peer that was connected within the last hour is tried every ten seconds or
// so however long it is away, one that never was every two minutes.
func TestContactPauses(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		away time.Duration // since it was connected
		last time.Duration
	}{
		"away for ten minutes": {10 * time.Minute, redialRecent},
		"away for a day":       {24 * time.Hour, redialLast},
	} {
		t.Run(name, func(t *testing.T) {
			peer := contact{seen: now.Add(-c.away)}
			at := now
			for range 20 {
				if !peer.due(at) {
					t.Fatal("not due after its pause")
				}
				if pause := peer.next.Sub(at); pause > c.last*5/4 {
					t.Fatalf("pause of %v", pause)
				}
				if peer.due(at) {
					t.Fatal("due again at once")
				}
				at = peer.next
			}
			if peer.pause != c.last {
				t.Errorf("pauses grow to %v, want %v", peer.pause, c.last)
			}
			if peer.again(); !peer.due(at.Add(-time.Hour)) {
				t.Error("not due once the network has changed")
			}
		})
	}
}
