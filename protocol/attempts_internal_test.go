package protocol

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

func TestAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a attempts
		check := func(p peer.ID, want bool) {
			t.Helper()
			if got := a.allow(p); got != want {
				t.Errorf("%s is allowed: %v", p, got)
			}
		}
		check("one", true)
		check("one", false)
		time.Sleep(pairEvery / 2)
		check("one", false)
		check("two", true)
		check("three", true)
		check("four", true)
		check("five", false)
		time.Sleep(pairEvery / 2)
		check("one", true) // refused attempts do not count
		check("five", false)
		time.Sleep(pairEvery / 2)
		check("five", true)
		check("one", false)
	})
}

// Names are free, so many of them take no memory.
func TestAttemptsOfManyNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a attempts
		allowed := 0
		for i := range 1000 {
			if a.allow(peer.ID(fmt.Sprint(i))) {
				allowed++
			}
			time.Sleep(pairEvery / 100)
		}
		if allowed != 10*maxPairings || len(a.recent) > maxPairings {
			t.Errorf("%d attempts in 10 s, %d remembered", allowed, len(a.recent))
		}
	})
}
