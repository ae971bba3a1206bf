package daemon

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/protocol"
)

// LookForRemovals removes what may be removed now, what failed before too.
func LookForRemovals(ctx context.Context, n *Node) error {
	n.removals.again()
	return n.removals.look(ctx, n.online)
}

// Receive has n store a receipt of holder from another moment.
func Receive(n, holder *Node, video api.Video, at time.Time) error {
	c, err := n.resolve(video.CID)
	if err != nil {
		return err
	}
	r, err := protocol.SignReceipt(holder.key, c, video.Size, at)
	if err != nil {
		return err
	}
	return n.TakeNotice(holder.self, protocol.Notice{Receipt: &r})
}

// Ban has n remember that a peer sent wrong bytes.
func Ban(n, bad *Node) error {
	return n.bans.add(ban{Peer: bad.self, Video: "another", Time: time.Now()})
}

// RemovalSteps is how many steps CutRemoval knows.
const RemovalSteps = 6

// CutRemoval does the first steps of the removal of a file, and leaves it there
// as a process that is killed does.
func CutRemoval(n *Node, path string, steps int) error {
	file, err := n.store.FileRecord(path)
	if err != nil {
		return err
	}
	o, err := openOutgoing(path, file.Stamp)
	if err != nil {
		return err
	}
	defer o.close()
	in := removalIntent{Path: path, Video: file.Video.String(), Stamp: file.Stamp, Started: time.Now()}
	all := [RemovalSteps]func() error{
		func() error { return n.storeIntent(in) },
		o.setAside,
		func() error {
			in.Holders = n.listedSure(map[peer.ID]time.Time{n.self: time.Now()})
			return n.storeIntent(in)
		},
		o.unlink,
		func() error { return n.store.ForgetFile(path) },
		func() error { _, err := n.withoutFile(file.Video); return err },
	}
	for _, step := range all[:steps] {
		err = errors.Join(err, step())
	}
	return err
}

// PutAsideAndBack gives a file its hidden name, has meanwhile called, and ends
// the removal as one that failed.
func PutAsideAndBack(n *Node, path string, meanwhile func(hidden string) error) error {
	file, err := n.store.FileRecord(path)
	if err != nil {
		return err
	}
	o, err := openOutgoing(path, file.Stamp)
	if err != nil {
		return err
	}
	defer o.close()
	in := removalIntent{Path: path, Video: file.Video.String(), Stamp: file.Stamp, Started: time.Now()}
	if err := errors.Join(n.storeIntent(in), o.setAside(), meanwhile(filepath.Join(filepath.Dir(path), o.hidden))); err != nil {
		return err
	}
	if o.unchanged() == nil {
		return errors.New("nothing speaks against the removal")
	}
	return n.keep(o, in)
}
