package api

import (
	"context"
	"net/http"
)

// Follow has the daemon follow a peer.
func (c *Client) Follow(ctx context.Context, req FollowRequest) (Follow, error) {
	return call[Follow](ctx, c, http.MethodPost, "/v1/follows", req)
}

// Unfollow has the daemon follow a peer no more.
func (c *Client) Unfollow(ctx context.Context, ref string) (Follow, error) {
	if isNoName(ref) {
		return Follow{}, Errorf(CodeUsage, "name a peer: its ID or its name")
	}
	return call[Follow](ctx, c, http.MethodDelete, "/v1/follows/"+escapeRef(ref), nil)
}

// Follows lists the followed peers.
func (c *Client) Follows(ctx context.Context) ([]Follow, error) {
	list, err := call[followList](ctx, c, http.MethodGet, "/v1/follows", nil)
	return list.Follows, err
}

// Receipts lists who else holds a video.
func (c *Client) Receipts(ctx context.Context, ref string) (Receipts, error) {
	path, err := videoURL(ref, "/receipts", nil)
	if err != nil {
		return Receipts{}, err
	}
	return call[Receipts](ctx, c, http.MethodGet, path, nil)
}
