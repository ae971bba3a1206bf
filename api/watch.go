package api

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// AddWatchRequest names a folder to watch. For one that is watched already it
// changes what is given, and at least one thing must be.
type AddWatchRequest struct {
	Dir    string        `json:"dir"`            // absolute
	Glob   []string      `json:"glob,omitempty"` // patterns of file names that count; none: the usual ones of video and audio
	Settle time.Duration `json:"settle,omitempty" doc:"nanoseconds that a file must be unchanged to be finished; 0: the default"`
	// Live offers files while they are being recorded. nil changes nothing, and is
	// off for a new folder.
	Live *bool `json:"live,omitempty" doc:"offer files while they are being recorded"`
	// RemoveAfter has files that were added because the folder is watched deleted
	// once so many other peers hold them, as they have signed and say just then.
	// 0 ends that; nil changes nothing, and is off for a new folder.
	RemoveAfter *int `json:"remove_after,omitempty" doc:"delete a file once so many other peers hold it; 0: never"`
	// RemoveHolders are the only peers that count, by name or ID. Empty: what was
	// said before, or every trusted peer.
	RemoveHolders []string `json:"remove_holders,omitempty" doc:"names or IDs of the only peers that count"`
}

// Watch is a watched folder. State is watching, scanning (what is there is being
// looked at for the first time), unavailable (it is not there; Message says why),
// stopped (no daemon runs) or failed (Message says why).
type Watch struct {
	Dir     string        `json:"dir"`
	Glob    []string      `json:"glob"` // empty: the usual ones
	Settle  float64       `json:"settle_seconds"`
	State   string        `json:"state"`
	Message string        `json:"message,omitempty"`
	Since   *time.Time    `json:"since,omitempty"` // when it was found unavailable
	Added   int64         `json:"added"`           // videos, since it is watched
	Last    *WatchedVideo `json:"last,omitempty"`  // the newest of these
	Adding  *Progress     `json:"adding,omitempty"`
	Live    bool          `json:"live"` // files are offered while they grow
	// Recording are the files that are offered while they grow.
	Recording []Recording `json:"recording,omitempty"`
	Failed    []Failure   `json:"failed,omitempty"` // files that could not be added or removed; they are tried again
	// RemoveAfter is how many other peers must hold a file before it is deleted
	// here; 0: it never is. RemoveHolders are the only ones that count, if any.
	RemoveAfter   int             `json:"remove_after"`
	RemoveHolders []RemovalHolder `json:"remove_holders,omitempty"`
	Removed       int64           `json:"removed"` // files, since it is watched
	LastRemoved   *Removal        `json:"last_removed,omitempty"`
}

// WatchedVideo is a video that was added because its folder is watched.
type WatchedVideo struct {
	CID  string    `json:"cid"`
	Path string    `json:"path"`
	Time time.Time `json:"time"`
}

// Recording is a file that is offered while it is being recorded.
type Recording struct {
	ID      string `json:"id"` // the same until it is finished
	Path    string `json:"path"`
	CID     string `json:"cid,omitempty"`     // of what is offered now; changes as it grows
	Size    int64  `json:"size"`              // bytes that are offered
	Message string `json:"message,omitempty"` // why it does not go on
}

type watchList struct {
	Watches []Watch `json:"watches"`
}

// watchParams names a watched folder.
type watchParams struct {
	Dir string `query:"dir" doc:"Absolute path of the folder"`
}

func registerWatches(a huma.API, n Node) {
	tags := []string{"watches"}
	answer(a, huma.Operation{OperationID: "list-watches", Path: "/v1/watches", Tags: tags,
		Summary: "List the watched folders"},
		func(ctx context.Context, _ *nothing) (watchList, error) {
			watches, err := n.Watches(ctx)
			return watchList{watches}, err
		})
	answer(a, huma.Operation{OperationID: "add-watch", Method: http.MethodPost, Path: "/v1/watches", Tags: tags,
		Summary: "Watch a folder", Description: "Every video that appears there is added by itself, from now on."},
		func(ctx context.Context, in *body[AddWatchRequest]) (Watch, error) { return n.AddWatch(ctx, in.Body) })
	answer(a, huma.Operation{OperationID: "remove-watch", Method: http.MethodDelete, Path: "/v1/watches", Tags: tags,
		Summary: "Watch a folder no more"},
		func(ctx context.Context, in *watchParams) (Watch, error) { return n.RemoveWatch(ctx, in.Dir) })
}

// Watches lists the watched folders.
func (c *Client) Watches(ctx context.Context) ([]Watch, error) {
	list, err := call[watchList](ctx, c, http.MethodGet, "/v1/watches", nil)
	return list.Watches, err
}

// AddWatch has the daemon watch a folder.
func (c *Client) AddWatch(ctx context.Context, req AddWatchRequest) (Watch, error) {
	return call[Watch](ctx, c, http.MethodPost, "/v1/watches", req)
}

// RemoveWatch has the daemon watch a folder no more.
func (c *Client) RemoveWatch(ctx context.Context, dir string) (Watch, error) {
	return call[Watch](ctx, c, http.MethodDelete, "/v1/watches?"+url.Values{"dir": {dir}}.Encode(), nil)
}
