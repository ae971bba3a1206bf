package daemon

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/protocol"
)

// goFollow starts what following takes, on both sides of it, until ctx ends. Only
// a daemon follows: a command does what it was asked and no more.
func (n *Node) goFollow(ctx context.Context, g *errgroup.Group, net *network) {
	if !n.cfg.Serve {
		return
	}
	g.Go(func() error { return n.runFollows(ctx, net) })
	g.Go(func() error { return n.feedFollows(ctx, net) })
	g.Go(func() error { return n.sendNotices(ctx, net) })
	g.Go(func() error { return n.attestStored(ctx) })
	g.Go(func() error { return n.fetchTranscripts(ctx, net) })
}

// Follow has every video of a trusted peer brought here, now and from now on.
func (n *Node) Follow(_ context.Context, req api.FollowRequest) (api.Follow, error) {
	p, err := n.followable(req.Peer)
	if err != nil {
		return api.Follow{}, err
	}
	if err := checkGlobs(req.Globs); err != nil {
		return api.Follow{}, err
	}
	dir := req.Into
	if dir == "" {
		name := cleanName(p.Name)
		if name == "" {
			name = p.ID.String()
		}
		dir = filepath.Join(n.cfg.Paths.Videos, shorten(name))
	}
	if !filepath.IsAbs(dir) {
		return api.Follow{}, api.Errorf(api.CodeUsage, "folder %q is not an absolute path", dir)
	}
	r, err := n.follows.put(p.ID, followRecord{Dir: filepath.Clean(dir), Globs: req.Globs, NewestFirst: req.NewestFirst})
	if err != nil {
		return api.Follow{}, err
	}
	return n.listedFollow(p.ID, r)
}

// followable is the trusted peer that ref names.
func (n *Node) followable(ref string) (trustedPeer, error) {
	if p, ok := n.trust.find(ref); ok {
		return p, nil
	}
	const remedy = "trust each other first: 'vidsync invite' there and 'vidsync join INVITE' here, or 'vidsync peer add' on both"
	if id, err := peer.Decode(ref); err == nil {
		if id == n.self {
			return trustedPeer{}, api.Errorf(api.CodeUsage, "%s is this node itself", id)
		}
		return trustedPeer{}, api.Errorf(api.CodeRefused, "peer %s is not trusted; %s", id, remedy)
	}
	return trustedPeer{}, api.Errorf(api.CodeNotFound, "no trusted peer %q (see: vidsync peer ls); %s", ref, remedy)
}

// Unfollow ends that. What is here stays, and so do the fetches that have begun.
func (n *Node) Unfollow(_ context.Context, ref string) (api.Follow, error) {
	id, r, err := n.followed(ref)
	if err != nil {
		return api.Follow{}, err
	}
	out, err := n.listedFollow(id, r)
	if err != nil {
		return out, err
	}
	if err := n.supplyBegun(id); err != nil {
		return out, err
	}
	if err := n.follows.remove(id); err != nil {
		return out, err
	}
	return out, n.jobs.dropFollows(id.String(), n.hasBegun)
}

// followed is the followed peer that ref names. It need not be trusted any more.
func (n *Node) followed(ref string) (peer.ID, followRecord, error) {
	id, err := peer.Decode(ref)
	if p, ok := n.trust.find(ref); ok {
		id, err = p.ID, nil
	}
	var r followRecord
	if err == nil {
		r, err = n.follows.get(id)
	} else {
		err = fs.ErrNotExist
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = api.Errorf(api.CodeNotFound, "no followed peer %q; see: vidsync follow ls", ref)
	}
	return id, r, err
}

// Follows lists the followed peers.
func (n *Node) Follows(context.Context) ([]api.Follow, error) {
	records, err := n.follows.all()
	if err != nil {
		return nil, err
	}
	out := []api.Follow{}
	for id, r := range records {
		f, err := n.listedFollow(id, r)
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b api.Follow) int { return a.Since.Compare(b.Since) })
	return out, nil
}

func (n *Node) listedFollow(id peer.ID, r followRecord) (api.Follow, error) {
	waiting, _ := n.jobs.followTasks(id.String())
	for _, err := range n.store.States(stateEntry, id.String()+"/") {
		if err != nil {
			return api.Follow{}, err
		}
		waiting++
	}
	out := api.Follow{
		PeerID: id.String(), Into: r.Dir, Globs: r.Globs, NewestFirst: r.NewestFirst, Since: r.Made,
		Seq: int64(r.Seq), Waiting: waiting, State: "waiting",
	}
	p, trusted := n.trust.find(id.String())
	out.Name = p.Name
	trouble := n.follows.told(id)
	net := n.onlineNow()
	switch {
	case !trusted:
		out.Message = errNotTrusted.Error()
	case errors.Is(trouble, protocol.ErrRefused):
		out.Message = "refused: this node is not trusted there; there: vidsync peer add " + n.self.String()
	case trouble != nil:
		out.Message = lastLine(trouble)
	case net == nil || !n.cfg.Serve:
		out.Message = "no daemon runs"
	case net.connected(id):
		out.State = "following"
	}
	return out, nil
}
