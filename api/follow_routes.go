package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

type followList struct {
	Follows []Follow `json:"follows"`
}

func registerFollows(a huma.API, n Node) {
	tags := []string{"follows"}
	answer(a, huma.Operation{OperationID: "list-follows", Path: "/v1/follows", Tags: tags,
		Summary: "List the followed peers"},
		func(ctx context.Context, _ *nothing) (followList, error) {
			follows, err := n.Follows(ctx)
			return followList{follows}, err
		})
	answer(a, huma.Operation{OperationID: "follow-peer", Method: http.MethodPost, Path: "/v1/follows", Tags: tags,
		Summary: "Bring every video of a trusted peer here, now and from now on"},
		func(ctx context.Context, in *body[FollowRequest]) (Follow, error) { return n.Follow(ctx, in.Body) })
	answer(a, huma.Operation{OperationID: "unfollow-peer", Method: http.MethodDelete, Path: "/v1/follows/{ref}", Tags: tags,
		Summary: "Follow a peer no more"},
		func(ctx context.Context, in *peerPath) (Follow, error) { return n.Unfollow(ctx, in.Ref) })
	answer(a, huma.Operation{OperationID: "list-receipts", Path: "/v1/videos/{ref}/receipts", Tags: []string{"videos"},
		Summary: "List who else holds a video, as they have signed"},
		func(ctx context.Context, in *videoPath) (Receipts, error) { return n.Receipts(ctx, in.Ref) })
}
