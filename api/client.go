package api

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// pingTimeout is how long a daemon may take to answer Ping.
	pingTimeout = 5 * time.Second
	// refusedWait is how long a client dials a socket that exists but refuses:
	// it may be between its making and its listening. Short, because it is
	// more likely the socket of a daemon that was killed.
	refusedWait = 100 * time.Millisecond
	// busyWait is how long a client dials a daemon whose queue is full.
	busyWait = 2 * time.Second
	// redialPause is the time between two dials.
	redialPause = 20 * time.Millisecond
	// readBuffer is the buffer of one connection, in bytes.
	readBuffer = 64 << 10
)

var _ Node = (*Client)(nil)

// Client is the node of a daemon, reached over its Unix socket. It keeps no
// connection between calls, so it needs no Close, and it may be used by many
// goroutines. Every error is an *Error or the context's: CodeNoDaemon if there
// is no daemon, CodeUnavailable if it went away during the call.
type Client struct {
	path string
	http http.Client
}

// NewClient makes a client for the daemon whose socket is wanted at
// socketPath; SocketPath says where it really is. It does not connect.
func NewClient(socketPath string) *Client {
	c := &Client{path: socketPath}
	c.http.Transport = &http.Transport{
		DialContext:        c.dial,
		DisableKeepAlives:  true, // a new Unix connection costs microseconds
		DisableCompression: true,
		ReadBufferSize:     readBuffer,
	}
	return c
}

// dial connects to the daemon's socket.
func (c *Client) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	place, err := SocketPath(c.path)
	if err != nil {
		return nil, c.noDaemon(err)
	}
	for start := time.Now(); ; {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", place)
		if err == nil {
			return conn, nil
		}
		if !worthRedial(err, time.Since(start)) {
			return nil, c.noDaemon(err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(redialPause):
		}
	}
}

// worthRedial reports whether a dial that failed may soon succeed.
func worthRedial(err error, waited time.Duration) bool {
	return errors.Is(err, syscall.ECONNREFUSED) && waited < refusedWait ||
		errors.Is(err, syscall.EAGAIN) && waited < busyWait
}

// noDaemon says that the daemon cannot be reached, why if that is not plain,
// and what to do.
func (c *Client) noDaemon(err error) *Error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return Errorf(CodeRefused, "cannot reach the daemon at %s: it belongs to another user", c.path)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return Errorf(CodeNoDaemon, "cannot reach the daemon at %s; start it with: vidsync daemon", c.path)
	}
	return Errorf(CodeNoDaemon, "cannot reach the daemon at %s: %w; start it with: vidsync daemon", c.path, err)
}

// Ping asks whether a daemon runs, without any effect on it. The error is
// CodeNoDaemon if there is none or it does not answer within 5 s.
func (c *Client) Ping(ctx context.Context) (Health, error) {
	short, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	h, err := call[Health](short, c, http.MethodGet, "/v1/health", nil)
	if err != nil && ctx.Err() == nil && short.Err() != nil {
		return h, Errorf(CodeNoDaemon, "the daemon at %s does not answer; look at its log or restart it", c.path)
	}
	return h, err
}

// ID returns the daemon's peer ID and addresses.
func (c *Client) ID(ctx context.Context) (Identity, error) {
	return call[Identity](ctx, c, http.MethodGet, "/v1/id", nil)
}

// Add has the daemon add files. It stops if ctx ends.
func (c *Client) Add(ctx context.Context, req AddRequest, emit func(Progress)) (AddResult, error) {
	return follow[Progress, AddResult](ctx, c, http.MethodPost, "/v1/videos", req, eventProgress, emit)
}

// Fetch has the daemon fetch a video. If ctx ends, the daemon decides whether
// it goes on.
func (c *Client) Fetch(ctx context.Context, req FetchRequest, emit func(Progress)) (FetchResult, error) {
	return follow[Progress, FetchResult](ctx, c, http.MethodPost, "/v1/fetches", req, eventProgress, emit)
}

// Ticket makes a ticket.
func (c *Client) Ticket(ctx context.Context, req TicketRequest) (Ticket, error) {
	return call[Ticket](ctx, c, http.MethodPost, "/v1/tickets", req)
}

// Revoke takes tickets back.
func (c *Client) Revoke(ctx context.Context, ref string) (Revoked, error) {
	return call[Revoked](ctx, c, http.MethodPost, "/v1/revocations", revocation{Ref: ref})
}

// Peers lists trusted and connected peers.
func (c *Client) Peers(ctx context.Context) ([]Peer, error) {
	list, err := call[peerList](ctx, c, http.MethodGet, "/v1/peers", nil)
	return list.Peers, err
}

// Invite makes an invite.
func (c *Client) Invite(ctx context.Context, req InviteRequest) (Invite, error) {
	return call[Invite](ctx, c, http.MethodPost, "/v1/invites", req)
}

// Join redeems another node's invite.
func (c *Client) Join(ctx context.Context, req JoinRequest) (Peer, error) {
	return call[Peer](ctx, c, http.MethodPost, "/v1/joins", req)
}

// AddPeer has the daemon trust a peer.
func (c *Client) AddPeer(ctx context.Context, req AddPeerRequest) (Peer, error) {
	return call[Peer](ctx, c, http.MethodPost, "/v1/peers", req)
}

// RemovePeer has the daemon trust a peer no more.
func (c *Client) RemovePeer(ctx context.Context, ref string) (Peer, error) {
	if isNoName(ref) {
		return Peer{}, Errorf(CodeUsage, "name a peer: its ID or its name")
	}
	return call[Peer](ctx, c, http.MethodDelete, "/v1/peers/"+escapeRef(ref), nil)
}

// Info describes one video.
func (c *Client) Info(ctx context.Context, ref string) (Info, error) {
	path, err := videoURL(ref, "", nil)
	if err != nil {
		return Info{}, err
	}
	return call[Info](ctx, c, http.MethodGet, path, nil)
}

// Status describes the daemon at a glance.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return call[Status](ctx, c, http.MethodGet, "/v1/status", nil)
}

// Jobs lists the durable tasks.
func (c *Client) Jobs(ctx context.Context) ([]Job, error) {
	list, err := call[jobList](ctx, c, http.MethodGet, "/v1/jobs", nil)
	return list.Jobs, err
}

// Doctor checks the daemon and its machine.
func (c *Client) Doctor(ctx context.Context) ([]Check, error) {
	list, err := call[checkList](ctx, c, http.MethodGet, "/v1/doctor", nil)
	return list.Checks, err
}

// Limit changes the daemon's limits.
func (c *Client) Limit(ctx context.Context, req LimitRequest) (Limits, error) {
	return call[Limits](ctx, c, http.MethodPatch, "/v1/limits", req)
}

// Cat writes the verified bytes of a range to w. What was written before an
// error is right, but not all.
func (c *Client) Cat(ctx context.Context, req CatRequest, w io.Writer) error {
	query := url.Values{
		"offset": {strconv.FormatInt(req.Offset, 10)},
		"length": {strconv.FormatInt(req.Length, 10)},
	}
	if len(req.Peers) > 0 {
		query["peer"] = req.Peers
	}
	path, err := videoURL(req.Ref, "/content", query)
	if err != nil {
		return err
	}
	return c.copyBytes(ctx, path, w)
}

// Verify has the daemon read videos again. It stops if ctx ends.
func (c *Client) Verify(ctx context.Context, req VerifyRequest, emit func(Progress)) (VerifyResult, error) {
	return follow[Progress, VerifyResult](ctx, c, http.MethodPost, "/v1/verifications", req, eventProgress, emit)
}

// Remove has the daemon forget a video.
func (c *Client) Remove(ctx context.Context, req RemoveRequest) (Freed, error) {
	path, err := videoURL(req.Ref, "", url.Values{"files": {strconv.FormatBool(req.Files)}})
	if err != nil {
		return Freed{}, err
	}
	return call[Freed](ctx, c, http.MethodDelete, path, nil)
}

// GC has the daemon give back index space.
func (c *Client) GC(ctx context.Context) (Freed, error) {
	return call[Freed](ctx, c, http.MethodPost, "/v1/gc", nil)
}

// Transcribe has the daemon transcribe a video. It stops if ctx ends.
func (c *Client) Transcribe(ctx context.Context, req TranscribeRequest, emit func(Progress)) (Transcript, error) {
	return follow[Progress, Transcript](ctx, c, http.MethodPost, "/v1/transcriptions", req, eventProgress, emit)
}

// TranscriptText writes a transcript to w.
func (c *Client) TranscriptText(ctx context.Context, req TranscriptRequest, w io.Writer) error {
	path, err := videoURL(req.Ref, "/transcript", url.Values{"format": {req.Format}})
	if err != nil {
		return err
	}
	return c.copyBytes(ctx, path, w)
}

// videoURL is the path of a video's resource.
func videoURL(ref, resource string, query url.Values) (string, error) {
	if isNoName(ref) {
		return "", Errorf(CodeUsage, "name a video: its CID, a ticket, or the name of a video here")
	}
	path := "/v1/videos/" + escapeRef(ref) + resource
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return path, nil
}

// isNoName reports whether ref can name nothing: a path with it in would be
// another operation's.
func isNoName(ref string) bool { return strings.Trim(ref, "/") == "" }

// escapeRef makes one path segment of any text. Dots alone would be taken for
// a step in the path.
func escapeRef(ref string) string {
	if strings.Trim(ref, ".") == "" {
		return strings.ReplaceAll(ref, ".", "%2E")
	}
	return url.PathEscape(ref)
}
