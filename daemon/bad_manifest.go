package daemon

import (
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/manifest"
)

// ofManifest is what stands for the block and the piece of a ban whose reason is
// the manifest.
const ofManifest = -1

// judgeManifest sees to what a candidate sent for a manifest, if that is why it
// failed, and tells whether it is done with. Bytes that are not those of their CID
// are the peer's fault for certain, and it is remembered as for a wrong piece.
// Bytes that are, and make no manifest, are the fault of who made the video:
// nobody is blamed, and no other peer could help.
func (p *providers) judgeManifest(id peer.ID, err error) (done bool) {
	switch {
	case errors.Is(err, manifest.ErrMalformed):
		p.mu.Lock()
		defer p.mu.Unlock()
		p.malformed = err
		return true
	case !errors.Is(err, manifest.ErrCorrupt):
		return false
	}
	p.log.Warn("peer sent a wrong manifest", "peer", id, "video", p.video, "error", err)
	p.ban(id.String(), err)
	err = p.bans.add(ban{
		Peer: id, Video: p.video.String(), Block: ofManifest, Piece: ofManifest, Time: time.Now().UTC(), Reason: manifest.ErrCorrupt.Error(),
	})
	if err != nil {
		p.log.Warn("remember ban", "error", err)
	}
	return true
}

// notAVideo is why nobody can ever have the video.
func (p *providers) notAVideo() error {
	return api.Errorf(api.CodeCorrupt, "%s names no video that this version can read, whoever sends it: %w; ask who gave you the CID to add the file again", p.video, p.malformed)
}

// where is what of the video was wrong.
func (b ban) where() string {
	if b.Block == ofManifest {
		return "its manifest"
	}
	return fmt.Sprintf("block %d, piece %d", b.Block, b.Piece)
}
