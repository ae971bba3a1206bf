package api_test

import (
	"context"
	"io"
	"iter"
	"reflect"
	"sync"
	"time"

	"github.com/vidsync/vidsync/api"
)

// fakeNode records what it is asked and answers with values in which every
// field is set. The hooks, where set, replace that.
type fakeNode struct {
	err   error // of every method
	long  func(ctx context.Context, emit func(api.Progress)) error
	write func(ctx context.Context, w io.Writer) error

	mu       sync.Mutex
	requests []any
}

func (n *fakeNode) take() []any {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.requests
	n.requests = nil
	return r
}

func reply[T any](n *fakeNode, req any) (T, error) {
	n.mu.Lock()
	n.requests = append(n.requests, req)
	n.mu.Unlock()
	if n.err != nil {
		var zero T
		return zero, n.err
	}
	return filled[T](), nil
}

func replyLong[T any](ctx context.Context, n *fakeNode, req any, emit func(api.Progress)) (T, error) {
	if n.long != nil {
		if err := n.long(ctx, emit); err != nil {
			var zero T
			return zero, err
		}
	}
	return reply[T](n, req)
}

func (n *fakeNode) replyBytes(ctx context.Context, req any, w io.Writer) error {
	if n.write != nil {
		return n.write(ctx, w)
	}
	text, err := reply[api.Ticket](n, req)
	if err == nil {
		_, err = io.WriteString(w, text.Name)
	}
	return err
}

func (n *fakeNode) ID(context.Context) (api.Identity, error) { return reply[api.Identity](n, "ID") }
func (n *fakeNode) Add(ctx context.Context, req api.AddRequest, emit func(api.Progress)) (api.AddResult, error) {
	return replyLong[api.AddResult](ctx, n, req, emit)
}
func (n *fakeNode) Fetch(ctx context.Context, req api.FetchRequest, emit func(api.Progress)) (api.FetchResult, error) {
	return replyLong[api.FetchResult](ctx, n, req, emit)
}
func (n *fakeNode) Ticket(_ context.Context, req api.TicketRequest) (api.Ticket, error) {
	return reply[api.Ticket](n, req)
}
func (n *fakeNode) Revoke(_ context.Context, ref string) (api.Revoked, error) {
	return reply[api.Revoked](n, ref)
}
func (n *fakeNode) Peers(context.Context) ([]api.Peer, error) { return reply[[]api.Peer](n, "Peers") }
func (n *fakeNode) Invite(_ context.Context, req api.InviteRequest) (api.Invite, error) {
	return reply[api.Invite](n, req)
}

func (n *fakeNode) Join(_ context.Context, req api.JoinRequest) (api.Peer, error) {
	return reply[api.Peer](n, req)
}

func (n *fakeNode) AddPeer(_ context.Context, req api.AddPeerRequest) (api.Peer, error) {
	return reply[api.Peer](n, req)
}
func (n *fakeNode) RemovePeer(_ context.Context, ref string) (api.Peer, error) {
	return reply[api.Peer](n, ref)
}
func (n *fakeNode) Follow(_ context.Context, req api.FollowRequest) (api.Follow, error) {
	return reply[api.Follow](n, req)
}

func (n *fakeNode) Unfollow(_ context.Context, ref string) (api.Follow, error) {
	return reply[api.Follow](n, ref)
}

func (n *fakeNode) Follows(context.Context) ([]api.Follow, error) {
	return reply[[]api.Follow](n, "Follows")
}

func (n *fakeNode) Receipts(_ context.Context, ref string) (api.Receipts, error) {
	return reply[api.Receipts](n, ref)
}

func (n *fakeNode) Videos(context.Context) iter.Seq2[api.Video, error] {
	return func(yield func(api.Video, error) bool) {
		videos, err := reply[[]api.Video](n, "Videos")
		for _, v := range videos {
			if !yield(v, nil) {
				return
			}
		}
		if err != nil {
			yield(api.Video{}, err)
		}
	}
}
func (n *fakeNode) Info(_ context.Context, ref string) (api.Info, error) {
	return reply[api.Info](n, ref)
}
func (n *fakeNode) Status(context.Context) (api.Status, error) { return reply[api.Status](n, "Status") }
func (n *fakeNode) Jobs(context.Context) ([]api.Job, error)    { return reply[[]api.Job](n, "Jobs") }
func (n *fakeNode) Doctor(context.Context) ([]api.Check, error) {
	return reply[[]api.Check](n, "Doctor")
}
func (n *fakeNode) Limit(_ context.Context, req api.LimitRequest) (api.Limits, error) {
	return reply[api.Limits](n, req)
}
func (n *fakeNode) Cat(ctx context.Context, req api.CatRequest, w io.Writer) error {
	return n.replyBytes(ctx, req, w)
}
func (n *fakeNode) Verify(ctx context.Context, req api.VerifyRequest, emit func(api.Progress)) (api.VerifyResult, error) {
	return replyLong[api.VerifyResult](ctx, n, req, emit)
}
func (n *fakeNode) Remove(_ context.Context, req api.RemoveRequest) (api.Freed, error) {
	return reply[api.Freed](n, req)
}
func (n *fakeNode) GC(context.Context) (api.Freed, error) { return reply[api.Freed](n, "GC") }
func (n *fakeNode) Transcribe(ctx context.Context, req api.TranscribeRequest, emit func(api.Progress)) (api.Transcript, error) {
	return replyLong[api.Transcript](ctx, n, req, emit)
}
func (n *fakeNode) TranscriptText(ctx context.Context, req api.TranscriptRequest, w io.Writer) error {
	return n.replyBytes(ctx, req, w)
}

// filled is a T in which every field, however deep, is set.
func filled[T any]() T {
	var v T
	fill(reflect.ValueOf(&v).Elem())
	return v
}

func fill(v reflect.Value) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.Date(2026, 2, 3, 4, 5, 6, 789, time.UTC)))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("strange/ö \"<&>\n%2F\x7f ?#")
	case reflect.Int, reflect.Int64:
		v.SetInt(1<<53 + 1) // more than a float64 holds
	case reflect.Float64:
		v.SetFloat(1.5)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0))
		fill(v.Index(1))
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	default:
		panic("fill: no rule for " + v.Type().String())
	}
}

func (n *fakeNode) Watches(context.Context) ([]api.Watch, error) {
	return reply[[]api.Watch](n, "Watches")
}
func (n *fakeNode) AddWatch(_ context.Context, req api.AddWatchRequest) (api.Watch, error) {
	return reply[api.Watch](n, req)
}
func (n *fakeNode) RemoveWatch(_ context.Context, dir string) (api.Watch, error) {
	return reply[api.Watch](n, dir)
}
