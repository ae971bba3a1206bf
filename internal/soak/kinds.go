package main

import (
	"context"
	"math/rand/v2"
	"strings"
)

// A kind of round brings a video to the receiver, over obstacles. What must hold
// then is checked after it.
type kind struct {
	name   string
	weight int // how often, of all weights; 0: once in rareEvery rounds at most
	run    func(ctx context.Context, r *round) error
}

// kinds are all there are. The first can be done everywhere.
var kinds = []kind{
	{"kill", 7, runKill},
	{"steps", 6, runSteps},
	{"several", 4, runSeveral},
	{"churn", 4, runChurn},
	{"full", 0, runFull},
	{"talk", 0, runTalk},
}

// rareEvery is how many rounds have at most one of each rare kind.
const rareEvery = 20

func kindNamed(name string) *kind {
	for i := range kinds {
		if kinds[i].name == name {
			return &kinds[i]
		}
	}
	return nil
}

func kindNames() string {
	var names []string
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return strings.Join(names, ", ")
}

// plan is the round at work, and its kind.
func (s *soak) plan() (*round, kind) {
	r := &round{soak: s, rng: rand.New(rand.NewPCG(s.seed, uint64(s.n)))}
	k := draw(s.seed, s.n, r.rng)
	if only := kindNamed(s.only); only != nil {
		k = *only
	}
	if s.unable[k.name] {
		k = kinds[0]
	}
	r.video = r.drawVideo()
	return r, k
}

// draw picks the kind of a round: a rare one if the lot of its twenty rounds
// fell on it, else one by weight.
func draw(seed uint64, n int, rng *rand.Rand) kind {
	lots := rand.New(rand.NewPCG(seed, ^uint64(n/rareEvery))).Perm(rareEvery)
	total := 0
	for _, k := range kinds {
		if k.weight == 0 {
			if lots[0] == n%rareEvery {
				return k
			}
			lots = lots[1:]
		}
		total += k.weight
	}
	at := rng.IntN(total)
	for _, k := range kinds {
		if at < k.weight {
			return k
		}
		at -= k.weight
	}
	panic("soak: internal error: no kind drawn")
}
