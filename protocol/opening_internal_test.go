package protocol

import (
	"fmt"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
)

func TestOpeningMakesRoom(t *testing.T) {
	o := newOpening(8, 4)
	dropped := map[string]int{}
	open := func(name string) (func(), bool) {
		return o.take(peer.ID(name), func() { dropped[name]++ })
	}
	for range 4 {
		if _, ok := open("greedy"); !ok {
			t.Fatal("refused below its share")
		}
	}
	if _, ok := open("greedy"); ok {
		t.Error("more than its share")
	}
	var gives []func()
	for i := range 6 {
		give, ok := open(fmt.Sprint("modest ", i))
		if !ok {
			t.Fatalf("newcomer %d is refused", i)
		}
		gives = append(gives, give)
	}
	if dropped["greedy"] != 2 || len(dropped) != 1 {
		t.Errorf("dropped %v, want 2 streams of the greedy peer", dropped)
	}
	for _, give := range gives {
		give()
		give() // harmless
	}
	if o.streams.Len() != 2 || len(o.peers) != 1 {
		t.Errorf("%d streams of %d peers are left, want the greedy one's 2", o.streams.Len(), len(o.peers))
	}
}

func TestOpeningAgainstManyNames(t *testing.T) {
	o := newOpening(8, 4)
	for i := range 100 {
		if _, ok := o.take(peer.ID(fmt.Sprint(i)), func() {}); !ok {
			t.Fatalf("stream %d is refused", i)
		}
		if o.streams.Len() > 8 || len(o.peers) > 8 {
			t.Fatalf("%d streams of %d peers", o.streams.Len(), len(o.peers))
		}
	}
}
