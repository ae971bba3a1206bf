// Package daemon hides one node's life: its identity, its libp2p host, whom it
// trusts, where it finds peers, its durable jobs and its local API. It is the
// only place where all parts of vidsync meet.
//
// Open gives a node that can answer from its own disk. Run, beside it, makes
// it part of the network: it serves peers, fetches, and works off jobs. A
// command without a daemon uses the same two calls for as long as it runs.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/protocol"
	"github.com/vidsync/vidsync/transcribe"
)

// Paths says where a node keeps its things. All are absolute.
type Paths struct {
	Identity string // private key file, 0600
	Peers    string // trust list
	Index    string // Badger folder
	Work     string // checkpoints of transcriptions
	Videos   string // where fetched videos go by default
	Socket   string // Unix socket of the local API
	Lock     string // held while a process uses the home
	APIToken string // token of the TCP API, 0600
	Limits   string // what `vidsync limit` set; may be missing
	Banned   string // peers that sent wrong bytes; may be missing
	Damaged  string // files found damaged; may be missing
	Revoked  string // tickets taken back; may be missing
	Invites  string // invites that are open; may be missing
	Journal  string // what the index can be made again from
}

// Config is what a node is told. The zero value of every field but Paths
// works.
type Config struct {
	Paths   Paths
	Name    string   // what this node calls itself to those that it pairs with
	Listen  []string // multiaddrs; none: DefaultListen
	Peers   []string // static peers, as multiaddrs with /p2p/
	NoMDNS  bool     // do not look for peers on the LAN
	Open    bool     // serve every stranger
	Serve   bool     // listen on Paths.Socket, and go on with stored jobs
	API     string   // also serve the API on this TCP address; empty: no
	Version string
	// Relays are own nodes through which this one can be reached, as multiaddrs
	// with /p2p/. RelayService makes this node one, for those it trusts.
	// RelayData lets videos cross relays where nothing else leads through.
	Relays       []string
	RelayService bool
	RelayData    bool
	NoPortMap    bool // do not ask the router to forward a port
	// Scrub is the time between two readings of every video here; 0: never.
	Scrub time.Duration
	// NoTranscribe leaves fetched videos without a transcript.
	NoTranscribe bool
	Transcribe   transcribe.Config
	Limit        LimitConfig  // unless `vidsync limit` says otherwise
	Hooks        HookConfig   // who is told of events
	Logger       *slog.Logger // nil: silent
	// Ready, if set, is called once the node listens and its API answers.
	Ready func()
}

// Node is one open node. It implements api.Node.
type Node struct {
	cfg         Config
	log         *slog.Logger
	lock        *flock.Flock
	key         crypto.PrivKey
	self        peer.ID
	store       *blockstore.Store
	trust       *trustList
	transcriber *transcribe.Transcriber
	lib         *library
	jobs        *jobQueue
	bans        *banList
	damage      *damageList
	memory      pieceMemory // of the fetches and repairs that run
	revoked     *revokedList
	invites     *inviteList
	reports     chan badReport // bad pieces that peers are to hear of
	limits      *limits
	metrics     *prometheus.Registry // of the node and its libp2p
	follows     *followList
	outbox      *outbox
	hooks       *hookQueue
	// Each holds one: there are videos to attest, and transcripts to fetch.
	attestations, wanted chan struct{}
	watching             *watching
	recordings           *recordings
	removals             *removals

	started time.Time

	online *network // set while Run runs, nil before and after; see network.go
	ready  chan struct{}
}

var _ api.Node = (*Node)(nil)

// Open takes the home's lock, and opens or creates what the node keeps. The
// caller must Close it. A home that another process uses gives CodeInUse.
func Open(ctx context.Context, cfg Config) (*Node, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	n := &Node{cfg: cfg, log: cfg.Logger, started: time.Now(), ready: make(chan struct{}), metrics: prometheus.NewRegistry()}
	if err := n.open(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

func (n *Node) open(ctx context.Context) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	p := n.cfg.Paths
	if n.lock, err = lockHome(p.Lock); err != nil {
		return err
	}
	if n.key, err = loadIdentity(p.Identity); err != nil {
		return err
	}
	if n.self, err = peer.IDFromPrivateKey(n.key); err != nil {
		return fmt.Errorf("identity %s: %w", p.Identity, err)
	}
	if n.trust, err = openTrustList(p.Peers); err != nil {
		return err
	}
	if n.revoked, err = openRevokedList(p.Revoked); err != nil {
		return err
	}
	if n.invites, err = openInviteList(p.Invites); err != nil {
		return err
	}
	n.bans, n.damage = openBanList(p.Banned, n.log), openDamageList(p.Damaged, n.log)
	n.reports = make(chan badReport, maxReports)
	if n.limits, err = openLimits(p.Limits, n.cfg.Limit, n.log); err != nil {
		return err
	}
	if n.store, err = blockstore.Open(p.Index, blockstore.Config{Logger: n.log, Journal: p.Journal, Journaled: isPending}); err != nil {
		return indexError(p.Index, err)
	}
	n.sweepCopies()
	tc := n.cfg.Transcribe
	tc.Logger = n.log
	if n.transcriber, err = transcribe.New(tc); err != nil {
		return api.Errorf(api.CodeUsage, "transcription settings: %w", err)
	}
	n.recordings = newRecordings(n.store, n.log, n.isPresent)
	n.lib = newLibrary(n.store, n.recordings, n.damage, n.log)
	n.jobs = newJobQueue(n.store, n.log)
	if err := n.openHooks(); err != nil {
		return err
	}
	n.follows, n.outbox = newFollowList(n.store), newOutbox()
	n.attestations, n.wanted = make(chan struct{}, 1), make(chan struct{}, 1)
	n.removals = newRemovals(n)
	if n.watching, err = openWatching(n); err != nil {
		return err
	}
	return n.recoverRemovals()
}

func lockHome(path string) (*flock.Flock, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make home: %w; choose another with --home", err)
	}
	l := flock.New(path, flock.SetPermissions(0o600))
	ok, err := l.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock home: %w; choose another with --home", err)
	}
	if !ok {
		return nil, api.Errorf(api.CodeInUse, "%s is in use by another vidsync process; stop it, or choose another home with --home", filepath.Dir(path))
	}
	return l, nil
}

func indexError(dir string, err error) error {
	switch {
	case errors.Is(err, blockstore.ErrInUse):
		return api.Errorf(api.CodeInUse, "index %s is in use by another process", dir)
	case errors.Is(err, blockstore.ErrDamaged):
		return api.Errorf(api.CodeOther, "open index %s: %w", dir, err)
	case errors.Is(err, blockstore.ErrNewer):
		return api.Errorf(api.CodeOther, "%w; install the newer vidsync again, or choose another home with --home", err)
	}
	return fmt.Errorf("open index %s: %w", dir, err)
}

// Close gives up the home. Run must have returned.
func (n *Node) Close() error {
	var err error
	if n.store != nil {
		err = n.store.Close()
	}
	if n.lock != nil {
		err = errors.Join(err, n.lock.Unlock())
	}
	return err
}

// Run takes part in the network until ctx ends: it listens, serves peers,
// keeps in touch with those it trusts and works off jobs. It returns nil when
// ctx ended it, after everything that it started has stopped and receipts are
// on disk. It may be called once.
func (n *Node) Run(ctx context.Context) (err error) {
	net, err := startNetwork(n.cfg, n.key, n.trust, n.metrics, n.log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, net.Close()) }()
	net.down = n.limits.down
	n.online = net
	g, ctx := errgroup.WithContext(ctx)
	net.server = protocol.NewServer(net.host, protocol.ServerConfig{
		Library: n.lib, Authorizer: n, Peers: n, Pairing: n,
		Catalogue: offer{n.store}, Notices: n, Transcripts: n,
		Logger: n.log, Up: n.limits.up, AllowRelayed: n.cfg.RelayData,
	})
	g.Go(func() error { return net.server.Run(ctx) })
	g.Go(func() error { return net.discover(ctx, n.trust) })
	g.Go(func() error { return n.hurryAfterChange(ctx, net) })
	g.Go(func() error { return n.store.Run(ctx) })
	g.Go(func() error { return n.limits.run(ctx) })
	g.Go(func() error { return n.sendReports(ctx, net) })
	g.Go(func() error { return n.lib.checkDisk(ctx) })
	g.Go(func() error { return n.runJobs(ctx) })
	g.Go(func() error { return n.tidyVideos(ctx) })
	n.goFollow(ctx, g, net)
	var serveErr error
	if n.cfg.Serve {
		g.Go(func() error { return n.hooks.run(ctx) })
		g.Go(func() error { return n.watching.run(ctx) })
		g.Go(func() error { return n.recordings.run(ctx) })
		g.Go(func() error { return n.removals.run(ctx, net) })
		serveErr = n.serveAPI(ctx, g)
		g.Go(func() error { return serveErr }) // so that Wait stops the others first
	}
	close(n.ready)
	if n.cfg.Ready != nil && serveErr == nil && ctx.Err() == nil {
		n.cfg.Ready()
	}
	err = g.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// network waits until Run has the node on the network.
func (n *Node) network(ctx context.Context) (*network, error) {
	select {
	case <-n.ready:
		return n.online, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// logged is for errors that nobody waits for.
func (n *Node) logged(what string, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		n.log.Error(what, "error", err)
	}
}
