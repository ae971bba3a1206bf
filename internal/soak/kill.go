package main

import "context"

// runKill kills both ends of a fetch at random moments.
func runKill(ctx context.Context, r *round) error {
	if err := r.makeVideo(ctx, r.source); err != nil {
		return err
	}
	if err := r.fetch(ctx, r.source); err != nil {
		return err
	}
	for range 1 + r.rng.IntN(4) {
		if err := r.moment(ctx); err != nil {
			return err
		}
		victims := pick(r.rng, []*node{r.receiver}, []*node{r.receiver}, []*node{r.source}, []*node{r.source, r.receiver}, []*node{r.receiver, r.source})
		if err := r.crash(ctx, victims...); err != nil {
			return err
		}
	}
	return r.await(ctx)
}
