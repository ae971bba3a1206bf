package protocol

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/vidsync/vidsync/manifest"
)

// Library is where a Server finds what it serves. Its methods are called from
// many goroutines. Absence is fs.ErrNotExist and a source that is no longer
// what it was is ErrChanged; other errors are told to the peer as an internal
// error, without their text.
type Library interface {
	// ManifestNode returns the manifest node that path leads to from the
	// video's root: the index of the link to follow at each level.
	ManifestNode(ctx context.Context, video cid.Cid, path []int) ([]byte, error)
	// Holdings returns a snapshot, which is then the caller's, of what can be
	// served of a video, and a channel that is closed at the next change. Nil
	// means that none will be told: if something is missing, it is asked again
	// now and then, for a disk may come back.
	Holdings(video cid.Cid) (now *manifest.Holdings, changed <-chan struct{}, err error)
	// Piece reads one piece into buf, which has manifest.PieceSize bytes and
	// is page-aligned, and appends its proof to proof[:0]. It is only asked
	// for pieces that the video has.
	Piece(ctx context.Context, video cid.Cid, block, piece int, buf, proof []byte) (data, proofOut []byte, err error)
}

// BadPieces is an optional ability of a Library.
type BadPieces interface {
	// BadPiece hears that a peer got a piece from here that did not match its
	// proof, so that the disk can be checked. The peer may be lying. It is
	// called at most once a second, whatever peers send.
	BadPiece(video cid.Cid, block, piece int)
}

// Names is an optional ability of a Library.
type Names interface {
	// Name is what this node calls the video, empty if it does not say. Only
	// the first MaxNameBytes are sent.
	Name(video cid.Cid) string
}

// ServerConfig says what a Server serves, and how much. Zero limits mean the
// defaults.
type ServerConfig struct {
	Library    Library      // required
	Authorizer Authorizer   // nil refuses everyone
	Logger     *slog.Logger // nil discards

	Peers       PeerAuthorizer // nil trusts nobody
	Catalogue   Catalogue      // nil refuses followers
	Notices     NoticeTaker    // nil refuses notices
	Transcripts Transcripts    // nil has none
	Pairing     Pairing        // nil refuses all secrets

	// AllowRelayed serves streams over relays and other limited connections.
	// Without it they are reset.
	AllowRelayed bool
	// Timeout bounds every stretch of progress: one message, or 4 KiB of raw
	// bytes, in either direction. Default 30 s.
	Timeout time.Duration
	// StandstillAfter is how long the client of a piece in memory may take
	// nothing of it while another peer waits for room in memory. After that,
	// the streams that have stood still longest are reset. Default 5 s.
	StandstillAfter time.Duration
	// BusyAfter is how long a request waits for a piece buffer before it is
	// answered busy. Default 8 s, which is longer than StandstillAfter; keep
	// it well below the Timeout of clients.
	BusyAfter time.Duration
	// LookAgainAfter is how long the client of a video that is not all here,
	// and of which no change will be told, may wait to hear that more of it
	// can be read. Default 10 s.
	LookAgainAfter time.Duration
	// Up limits how fast pieces leave, to all peers together; they share it
	// evenly. Nil: no limit.
	Up Pacer
	// StreamsPerPeer and Streams limit the authorised streams that are served
	// at once, of one peer and in all. Default 32 and 512.
	StreamsPerPeer, Streams int
	// OpeningPerPeer and Opening limit the streams that are not authorised
	// yet. Default 16 and 128.
	OpeningPerPeer, Opening int
	// PiecesPerPeer and ServingPieces limit the pieces in memory at once, 1
	// MiB each, of one peer and in all. Peers get their room in turn. Default
	// 8 and 64.
	PiecesPerPeer, ServingPieces int
}

func (c ServerConfig) withDefaults() ServerConfig {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	if c.StandstillAfter <= 0 {
		c.StandstillAfter = 5 * time.Second
	}
	if c.BusyAfter <= 0 {
		c.BusyAfter = 8 * time.Second
	}
	if c.LookAgainAfter <= 0 {
		c.LookAgainAfter = 10 * time.Second
	}
	for _, d := range []struct {
		limit *int
		value int
	}{
		{&c.StreamsPerPeer, 32},
		{&c.Streams, 512},
		{&c.OpeningPerPeer, 16},
		{&c.Opening, 128},
		{&c.PiecesPerPeer, 8},
		{&c.ServingPieces, 64},
	} {
		if *d.limit <= 0 {
			*d.limit = d.value
		}
	}
	return c
}

// Server answers other nodes.
type Server struct {
	host    host.Host
	cfg     ServerConfig
	access  *authorisation
	opening *opening
	serving *admission
	pieces  *turns // one place for each buffer in use
	buffers *Buffers
	up      *uplink
	look    time.Duration // how often a write that waits looks around

	catalogues  *admission // of the streams that serving counts, those that send one
	transcripts *admission
	pairings    attempts

	mu         sync.Mutex
	running    bool
	streams    sync.WaitGroup // added to only while running
	lastReport time.Time
}

// NewServer returns a server for h. Nothing is served before Run.
func NewServer(h host.Host, cfg ServerConfig) *Server {
	cfg = cfg.withDefaults()
	return &Server{
		host:    h,
		cfg:     cfg,
		access:  newAuthorisation(cfg.Authorizer, cfg.Peers),
		opening: newOpening(cfg.Opening, cfg.OpeningPerPeer),
		serving: newAdmission(cfg.Streams, cfg.StreamsPerPeer),
		pieces:  newTurns(cfg.ServingPieces, cfg.PiecesPerPeer, cfg.StandstillAfter),
		buffers: NewBuffers(min(cfg.ServingPieces, 16)),
		up:      newUplink(cfg.Up),
		look:    max(cfg.StandstillAfter/8, time.Millisecond),

		catalogues:  newAdmission(cfg.Streams, maxCataloguesPerPeer),
		transcripts: newAdmission(maxTranscripts, maxTranscriptsPerPeer),
	}
}

// Run serves until ctx ends, and returns its error. By then the handlers are
// removed and every stream has ended. It may be called again after that.
func (s *Server) Run(ctx context.Context) error {
	handlers := map[protocol.ID]handler{
		ManifestID: (*incoming).serveManifest,
		HoldingsID: (*incoming).serveHoldings,
		PiecesID:   (*incoming).servePieces,

		CatalogueID:  (*incoming).serveCatalogue,
		NoticeID:     (*incoming).serveNotices,
		TranscriptID: (*incoming).serveTranscript,
		PairID:       (*incoming).servePair,
	}
	s.setRunning(true)
	for id, handle := range handlers {
		s.host.SetStreamHandler(id, func(st network.Stream) { s.accept(ctx, st, handle) })
	}
	<-ctx.Done()
	for id := range handlers {
		s.host.RemoveStreamHandler(id)
	}
	s.setRunning(false)
	s.streams.Wait()
	return ctx.Err()
}

// Reauthorize asks the Authorizer, or for catalogues and notices the
// PeerAuthorizer, again about every stream that is being served, and resets
// those that are refused now. It is to be called when someone has lost a
// permission; it asks once about each peer, video and capability, and waits for
// nothing else.
func (s *Server) Reauthorize() { s.access.recheck() }

func (s *Server) setRunning(running bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = running
}

// begin counts one more stream, unless the server is about to end.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running {
		s.streams.Add(1)
	}
	return s.running
}

// A handler serves one stream. A nil error closes it, others reset it.
type handler func(in *incoming, ctx context.Context) error

// accept runs on the goroutine that libp2p starts for each stream.
func (s *Server) accept(ctx context.Context, st network.Stream, handle handler) {
	if !s.begin() {
		_ = st.ResetWithError(network.StreamShutdown)
		return
	}
	defer s.streams.Done()
	if err := s.serve(ctx, st, handle); err != nil {
		s.cfg.Logger.Debug("stream ended", "peer", st.Conn().RemotePeer(), "protocol", st.Protocol(), "error", err)
	}
}

func (s *Server) serve(ctx context.Context, st network.Stream, handle handler) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	in := &incoming{server: s, framing: newFraming(ctx, st, s.cfg.Timeout), peer: st.Conn().RemotePeer(), cancel: cancel}
	defer func() {
		s.access.forget(in)
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		in.end(err)
	}()
	if st.Conn().Stat().Limited && !s.cfg.AllowRelayed {
		return errRelayed
	}
	give, ok := s.opening.take(in.peer, func() { in.reset(ErrBusy) })
	if !ok {
		return fmt.Errorf("%w: too many streams are being opened", ErrBusy)
	}
	in.give = give
	defer func() { in.give() }()
	in.shortage = in.reserve(controlBytes)
	return handle(in, ctx)
}

// incoming is a stream that a peer has opened.
type incoming struct {
	*framing
	server   *Server
	peer     peer.ID
	cancel   context.CancelCauseFunc // resets the stream
	shortage error                   // why there is no memory for the stream; told once it is authorised
	admitted bool
	give     func() // gives back the place of the stream: opening, then serving
}

// admit asks whether the peer may fetch the video, before anything else is
// looked at, so that the answer tells a stranger nothing. Then it counts the
// stream as served.
func (in *incoming) admit(video, capability []byte) (cid.Cid, error) {
	c, err := manifest.ParseVideoCIDBytes(video)
	if err != nil {
		return cid.Undef, fmt.Errorf("%w: %v", errInvalid, err)
	}
	if len(capability) > MaxCapabilityBytes {
		return cid.Undef, fmt.Errorf("%w: capability of %d bytes", errInvalid, len(capability))
	}
	if err := in.server.access.request(in, c, capability); err != nil {
		return cid.Undef, err
	}
	return c, in.count()
}

// count counts the stream as served, once.
func (in *incoming) count() error {
	if in.shortage != nil || in.admitted {
		return in.shortage
	}
	if !in.server.serving.take(in.peer) {
		return fmt.Errorf("%w: too many streams are being served", ErrBusy)
	}
	in.give()
	in.admitted, in.give = true, func() { in.server.serving.give(in.peer) }
	return nil
}

// logInternal logs an error whose text is not told to the peer.
func (s *Server) logInternal(msg string, err error, args ...any) {
	for _, row := range statuses {
		if errors.Is(err, row.err) {
			return
		}
	}
	s.cfg.Logger.Warn(msg, append(args, "error", err)...)
}
