package protocol

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// turnTest notes who has had a place, in order, and who holds some.
type turnTest struct {
	*turns
	wg sync.WaitGroup

	mu    sync.Mutex
	order []string
	held  map[string][]*place
}

func newTurnTest(total, perPeer int, standstill time.Duration) *turnTest {
	return &turnTest{turns: newTurns(total, perPeer, standstill), held: make(map[string][]*place)}
}

// queues makes a peer wait for one more place, and returns when it has it or
// all goroutines of the bubble wait.
func (tt *turnTest) queues(ctx context.Context, name string) {
	tt.wg.Go(func() {
		pl, err := tt.take(ctx, peer.ID(name))
		if err != nil {
			return
		}
		tt.mu.Lock()
		defer tt.mu.Unlock()
		tt.order = append(tt.order, name)
		tt.held[name] = append(tt.held[name], pl)
	})
	synctest.Wait()
}

// gives gives back the oldest place of a peer.
func (tt *turnTest) gives(name string) {
	tt.mu.Lock()
	pl := tt.held[name][0]
	tt.held[name] = tt.held[name][1:]
	tt.mu.Unlock()
	pl.give()
	synctest.Wait()
}

func (tt *turnTest) granted() string { return strings.Join(tt.order, " ") }

// end gives back everything and expects that nothing is left.
func (tt *turnTest) end(t *testing.T) {
	t.Helper()
	for name := range tt.held {
		for len(tt.held[name]) > 0 {
			tt.gives(name)
		}
	}
	tt.wg.Wait()
	time.Sleep(blameFor * tt.standstill)
	for _, g := range tt.parties {
		tt.forget(g, time.Now())
	}
	if tt.free != tt.total || len(tt.parties) != 0 || len(tt.ring) != 0 {
		t.Errorf("left: %d of %d free, %d peers, %d in the ring", tt.free, tt.total, len(tt.parties), len(tt.ring))
	}
}

func TestTurnsGoFromPeerToPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tt := newTurnTest(1, 1, time.Hour)
		for range 5 {
			tt.queues(t.Context(), "many")
		}
		tt.queues(t.Context(), "one")
		for range 2 {
			tt.queues(t.Context(), "two")
		}
		for _, name := range strings.Fields("many many one two many two many") {
			tt.gives(name)
		}
		if got, want := tt.granted(), "many many one two many two many many"; got != want {
			t.Errorf("granted to %s, want %s", got, want)
		}
		tt.end(t)
	})
}

func TestTurnsOfOnePeerAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tt := newTurnTest(4, 2, time.Hour)
		for range 4 {
			tt.queues(t.Context(), "many")
		}
		tt.queues(t.Context(), "one")
		if got, want := tt.granted(), "many many one"; got != want {
			t.Errorf("granted to %s, want %s", got, want)
		}
		tt.gives("many")
		if got, want := tt.granted(), "many many one many"; got != want {
			t.Errorf("granted to %s, want %s", got, want)
		}
		tt.gives("many")
		tt.end(t)
	})
}

func TestTurnThatIsNotAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tt := newTurnTest(1, 1, time.Hour)
		tt.queues(t.Context(), "a")
		ctx, cancel := context.WithCancel(t.Context())
		tt.queues(ctx, "b")
		tt.queues(t.Context(), "c")
		cancel()
		synctest.Wait()
		tt.gives("a")
		if got, want := tt.granted(), "a c"; got != want {
			t.Errorf("granted to %s, want %s", got, want)
		}
		tt.end(t)
	})
}

// Whoever stands still has to leave only if another needs the place, and the
// longest first.
func TestTurnsEndStandstill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tt := newTurnTest(3, 2, 5*time.Second)
		var places []*place
		for i, name := range []string{"a", "b", "c"} {
			tt.queues(t.Context(), name)
			places = append(places, tt.held[name][0])
			if i < 2 {
				places[i].moved()
			}
			time.Sleep(time.Second)
		}
		must := func() []bool {
			return []bool{places[0].mustLeave(), places[1].mustLeave(), places[2].mustLeave()}
		}
		check := func(when string, want ...bool) {
			t.Helper()
			if got := must(); !slices.Equal(got, want) {
				t.Errorf("%s: must leave %v, want %v", when, got, want)
			}
		}
		time.Sleep(10 * time.Second)
		check("nobody waits", false, false, false)
		tt.queues(t.Context(), "a") // stands still itself
		check("who stands still waits", false, false, false)
		tt.queues(t.Context(), "d")
		check("one waits", true, false, false)
		tt.queues(t.Context(), "d")
		check("two places are needed", true, true, false)
		places[0].moved()
		check("the first has moved, and needs one", false, true, false)
		time.Sleep(6 * time.Second)
		places[0].rest()
		check("the first rests", false, true, false)
		tt.gives("b")
		if got, want := tt.granted(), "a b c d"; got != want { // a is to blame
			t.Errorf("granted to %s, want %s", got, want)
		}
		time.Sleep(blameFor * 5 * time.Second)
		tt.gives("c")
		if got, want := tt.granted(), "a b c d a"; got != want {
			t.Errorf("granted to %s, want %s", got, want)
		}
		tt.end(t)
	})
}

// A peer that stands still gets no more while places are scarce.
func TestTurnsOfWhoStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tt := newTurnTest(4, 3, 5*time.Second)
		tt.queues(t.Context(), "still")
		pl := tt.held["still"][0]
		pl.moved()
		time.Sleep(6 * time.Second)
		tt.queues(t.Context(), "still") // 3 of 4 are free
		tt.queues(t.Context(), "still") // 2 of 4
		tt.held["still"][1].moved()
		tt.queues(t.Context(), "other")
		if got, want := tt.granted(), "still still still other"; got != want {
			t.Errorf("granted to %s, want %s", got, want)
		}
		tt.gives("still")
		tt.queues(t.Context(), "still")
		if n := len(tt.held["still"]); n != 3 {
			t.Errorf("%d places for who moves again, want 3", n)
		}
		time.Sleep(6 * time.Second)
		tt.gives("other")
		tt.queues(t.Context(), "still")
		if n := len(tt.held["still"]); n != 3 {
			t.Errorf("%d places for who stands still, want 3", n)
		}
		tt.end(t)
	})
}

func TestTurnsUnderLoad(t *testing.T) {
	tt := newTurns(3, 2, time.Hour)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			p := peer.ID(fmt.Sprint(i % 7))
			for j := range 200 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration((i*j)%5)*100*time.Microsecond)
				pl, err := tt.take(ctx, p)
				cancel()
				if err != nil {
					continue
				}
				pl.moved()
				_ = pl.mustLeave()
				pl.rest()
				pl.give()
			}
		})
	}
	wg.Wait()
	if tt.free != 3 || len(tt.parties) != 0 || len(tt.ring) != 0 {
		t.Errorf("left: %d free, %d peers, %d in the ring", tt.free, len(tt.parties), len(tt.ring))
	}
}
