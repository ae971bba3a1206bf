package api

import (
	"context"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// videoPath is a request about one video.
type videoPath struct {
	Ref string `path:"ref" doc:"CID, ticket, or a name that only one video here bears"`
}

type contentParams struct {
	Ref    string   `path:"ref" doc:"CID, ticket, or a name that only one video here bears"`
	Offset int64    `query:"offset" doc:"First byte"`
	Length int64    `query:"length" default:"-1" doc:"Number of bytes; below 0: to the end"`
	Peers  []string `query:"peer,explode" doc:"More providers, as multiaddrs with /p2p/"`
}

type transcriptParams struct {
	Ref    string `path:"ref" doc:"CID, ticket, or a name that only one video here bears"`
	Format string `query:"format" doc:"srt, vtt, txt or json"`
}

type removeParams struct {
	Ref   string `path:"ref" doc:"CID, ticket, or a name that only one video here bears"`
	Files bool   `query:"files" doc:"Delete its files too"`
}

type peerPath struct {
	Ref string `path:"ref" doc:"Peer ID or name"`
}

// revocation is the body of a request to take tickets back.
type revocation struct {
	Ref string `json:"ref" doc:"A ticket, or the video of which all tickets so far are meant"`
}

// Lists are wrapped in objects, which can gain fields.
type peerList struct {
	Peers []Peer `json:"peers"`
}

type jobList struct {
	Jobs []Job `json:"jobs"`
}

type checkList struct {
	Checks []Check `json:"checks"`
}

// register registers an operation for every method of Node, and those that
// the API has beside.
func register(a huma.API, n Node, cfg HandlerConfig) {
	registerNode(a, n, cfg)
	registerVideos(a, n)
	registerContent(a, n)
	registerPeers(a, n)
	registerFollows(a, n)
	registerTasks(a, n, cfg)
	registerWatches(a, n)
}

func registerNode(a huma.API, n Node, cfg HandlerConfig) {
	tags := []string{"node"}
	answer(a, huma.Operation{OperationID: "get-health", Path: "/v1/health", Tags: tags,
		Summary: "Check that the daemon answers"},
		func(ctx context.Context, _ *nothing) (Health, error) {
			id, err := n.ID(ctx)
			return Health{Version: cfg.Version, PeerID: id.PeerID}, err
		})
	answer(a, huma.Operation{OperationID: "get-id", Path: "/v1/id", Tags: tags,
		Summary: "Get the node's peer ID and addresses"},
		func(ctx context.Context, _ *nothing) (Identity, error) { return n.ID(ctx) })
	answer(a, huma.Operation{OperationID: "get-status", Path: "/v1/status", Tags: tags,
		Summary: "Get the node at a glance"},
		func(ctx context.Context, _ *nothing) (Status, error) { return n.Status(ctx) })
	answer(a, huma.Operation{OperationID: "list-jobs", Path: "/v1/jobs", Tags: tags,
		Summary: "List the durable tasks"},
		func(ctx context.Context, _ *nothing) (jobList, error) {
			jobs, err := n.Jobs(ctx)
			return jobList{jobs}, err
		})
	answer(a, huma.Operation{OperationID: "run-doctor", Path: "/v1/doctor", Tags: tags,
		Summary: "Check the machine and the node, with a remedy for each finding"},
		func(ctx context.Context, _ *nothing) (checkList, error) {
			checks, err := n.Doctor(ctx)
			return checkList{checks}, err
		})
	answer(a, huma.Operation{OperationID: "set-limits", Method: http.MethodPatch, Path: "/v1/limits", Tags: tags,
		Summary: "Change how fast pieces may leave and come", Description: "An empty object changes nothing: the answer is what holds."},
		func(ctx context.Context, in *body[LimitRequest]) (Limits, error) { return n.Limit(ctx, in.Body) })
	answer(a, huma.Operation{OperationID: "collect-garbage", Method: http.MethodPost, Path: "/v1/gc", Tags: tags,
		Summary: "Give back index space that nothing needs"},
		func(ctx context.Context, _ *nothing) (Freed, error) { return n.GC(ctx) })
}

func registerVideos(a huma.API, n Node) {
	tags := []string{"videos"}
	registerVideoList(a, n)
	answer(a, huma.Operation{OperationID: "get-video", Path: "/v1/videos/{ref}", Tags: tags,
		Summary: "Get one video in detail"},
		func(ctx context.Context, in *videoPath) (Info, error) { return n.Info(ctx, in.Ref) })
	answer(a, huma.Operation{OperationID: "remove-video", Method: http.MethodDelete, Path: "/v1/videos/{ref}", Tags: tags,
		Summary: "Forget a video"},
		func(ctx context.Context, in *removeParams) (Freed, error) {
			return n.Remove(ctx, RemoveRequest{Ref: in.Ref, Files: in.Files})
		})
	answer(a, huma.Operation{OperationID: "create-ticket", Method: http.MethodPost, Path: "/v1/tickets", Tags: tags,
		Summary: "Make a ticket for a video"},
		func(ctx context.Context, in *body[TicketRequest]) (Ticket, error) { return n.Ticket(ctx, in.Body) })
	answer(a, huma.Operation{OperationID: "revoke-tickets", Method: http.MethodPost, Path: "/v1/revocations", Tags: tags,
		Summary: "Take back a ticket, or all of a video"},
		func(ctx context.Context, in *body[revocation]) (Revoked, error) { return n.Revoke(ctx, in.Body.Ref) })
}

func registerContent(a huma.API, n Node) {
	tags := []string{"videos"}
	bytesOut(a, huma.Operation{OperationID: "get-content", Path: "/v1/videos/{ref}/content", Tags: tags,
		Summary: "Read verified bytes of a video, fetching what is missing"},
		[]string{contentBytes}, func(*contentParams) string { return contentBytes },
		func(ctx context.Context, in *contentParams, w io.Writer) error {
			return n.Cat(ctx, CatRequest{Ref: in.Ref, Offset: in.Offset, Length: in.Length, Peers: in.Peers}, w)
		})
	bytesOut(a, huma.Operation{OperationID: "get-transcript", Path: "/v1/videos/{ref}/transcript", Tags: tags,
		Summary: "Get a transcript that exists"},
		[]string{"application/x-subrip", "text/vtt", "text/plain", "application/json"},
		func(in *transcriptParams) string { return transcriptType(in.Format) },
		func(ctx context.Context, in *transcriptParams, w io.Writer) error {
			return n.TranscriptText(ctx, TranscriptRequest{Ref: in.Ref, Format: in.Format}, w)
		})
}

// contentBytes is the content type of bytes that nobody has looked into.
const contentBytes = "application/octet-stream"

// transcriptType is the content type of a transcript. Which formats there are
// is the node's business.
func transcriptType(format string) string {
	switch format {
	case "srt":
		return "application/x-subrip; charset=utf-8"
	case "vtt":
		return "text/vtt; charset=utf-8"
	case "txt":
		return "text/plain; charset=utf-8"
	case "json":
		return "application/json"
	}
	return contentBytes
}

func registerPeers(a huma.API, n Node) {
	tags := []string{"peers"}
	answer(a, huma.Operation{OperationID: "list-peers", Path: "/v1/peers", Tags: tags,
		Summary: "List trusted and connected peers"},
		func(ctx context.Context, _ *nothing) (peerList, error) {
			peers, err := n.Peers(ctx)
			return peerList{peers}, err
		})
	answer(a, huma.Operation{OperationID: "add-peer", Method: http.MethodPost, Path: "/v1/peers", Tags: tags,
		Summary: "Trust a peer"},
		func(ctx context.Context, in *body[AddPeerRequest]) (Peer, error) { return n.AddPeer(ctx, in.Body) })
	answer(a, huma.Operation{OperationID: "create-invite", Method: http.MethodPost, Path: "/v1/invites", Tags: tags,
		Summary: "Make an invite for one other node"},
		func(ctx context.Context, in *body[InviteRequest]) (Invite, error) { return n.Invite(ctx, in.Body) })
	answer(a, huma.Operation{OperationID: "join", Method: http.MethodPost, Path: "/v1/joins", Tags: tags,
		Summary: "Redeem another node's invite"},
		func(ctx context.Context, in *body[JoinRequest]) (Peer, error) { return n.Join(ctx, in.Body) })
	answer(a, huma.Operation{OperationID: "remove-peer", Method: http.MethodDelete, Path: "/v1/peers/{ref}", Tags: tags,
		Summary: "Trust a peer no more"},
		func(ctx context.Context, in *peerPath) (Peer, error) { return n.RemovePeer(ctx, in.Ref) })
}

func registerTasks(a huma.API, n Node, cfg HandlerConfig) {
	tags := []string{"tasks"}
	stream(a, cfg, eventProgress, huma.Operation{OperationID: "add-videos", Method: http.MethodPost, Path: "/v1/videos", Tags: tags,
		Summary: "Hash files and offer them as videos", Description: "Stops if the client goes away."},
		func(ctx context.Context, in *body[AddRequest], emit func(Progress)) (AddResult, error) {
			return n.Add(ctx, in.Body, emit)
		})
	stream(a, cfg, eventProgress, huma.Operation{OperationID: "fetch-video", Method: http.MethodPost, Path: "/v1/fetches", Tags: tags,
		Summary: "Bring a video here", Description: "With detach it ends once the job is stored, and the job goes on."},
		func(ctx context.Context, in *body[FetchRequest], emit func(Progress)) (FetchResult, error) {
			return n.Fetch(ctx, in.Body, emit)
		})
	stream(a, cfg, eventProgress, huma.Operation{OperationID: "verify-videos", Method: http.MethodPost, Path: "/v1/verifications", Tags: tags,
		Summary: "Read every byte of videos again", Description: "Stops if the client goes away."},
		func(ctx context.Context, in *body[VerifyRequest], emit func(Progress)) (VerifyResult, error) {
			return n.Verify(ctx, in.Body, emit)
		})
	stream(a, cfg, eventProgress, huma.Operation{OperationID: "transcribe-video", Method: http.MethodPost, Path: "/v1/transcriptions", Tags: tags,
		Summary: "Transcribe a video or media file", Description: "Stops if the client goes away."},
		func(ctx context.Context, in *body[TranscribeRequest], emit func(Progress)) (Transcript, error) {
			return n.Transcribe(ctx, in.Body, emit)
		})
}
