package main

import (
	"context"

	"github.com/vidsync/vidsync/api"
)

// runSeveral has two sources, and a third node that fetches from the receiver
// while that is fetching. Any of them is killed.
func runSeveral(ctx context.Context, r *round) error {
	if err := r.makeVideo(ctx, r.source, r.second); err != nil {
		return err
	}
	if err := r.fetch(ctx, r.source, r.second); err != nil {
		return err
	}
	if err := r.moment(ctx); err != nil {
		return err
	}
	if err := r.third.start(ctx); err != nil {
		return err
	}
	req := api.FetchRequest{Ref: r.video.cid, Peers: []string{r.receiver.addr}, NoTranscribe: true, Detach: true}
	if _, err := r.third.api().Fetch(ctx, req, nil); err != nil {
		return err
	}
	for range 1 + r.rng.IntN(3) {
		if err := r.moment(ctx); err != nil {
			return err
		}
		victims := pick(r.rng, []*node{r.second}, []*node{r.source}, []*node{r.receiver}, []*node{r.receiver, r.second}, []*node{r.third}, []*node{r.third, r.receiver})
		if err := r.crash(ctx, victims...); err != nil {
			return err
		}
	}
	if err := r.await(ctx); err != nil {
		return err
	}
	return r.awaitWhole(ctx, r.third)
}
