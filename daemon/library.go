package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"

	"github.com/ipfs/go-cid"

	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol"
)

// maxManifests is how many manifests the library keeps decoded; one of 2 TiB
// takes 2 MiB.
const maxManifests = 16

// library is what this node serves: the videos in its blockstore and the
// verified pieces of those that it is still fetching. It implements
// protocol.Library.
type library struct {
	store  *blockstore.Store
	damage *damageList
	checks *diskChecks
	log    *slog.Logger
	// recordings are served, too.
	recordings *recordings

	mu        sync.Mutex
	active    map[cid.Cid]*fetch
	manifests map[cid.Cid]*manifest.Manifest
	withdrawn map[cid.Cid]chan struct{} // see withdrawn.go
}

func newLibrary(store *blockstore.Store, recordings *recordings, damage *damageList, log *slog.Logger) *library {
	return &library{store: store, recordings: recordings, damage: damage, checks: newDiskChecks(), log: log, active: map[cid.Cid]*fetch{}, manifests: map[cid.Cid]*manifest.Manifest{}, withdrawn: map[cid.Cid]chan struct{}{}}
}

// begin makes a fetch's verified pieces servable, until end.
func (l *library) begin(f *fetch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.active[f.video] = f
}

func (l *library) end(f *fetch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.active[f.video] == f {
		delete(l.active, f.video)
	}
}

// fetching is the running fetch of a video, or nil.
func (l *library) fetching(video cid.Cid) *fetch {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.active[video]
}

// manifest returns a video's manifest; fs.ErrNotExist if it is not here.
func (l *library) manifest(ctx context.Context, video cid.Cid) (*manifest.Manifest, error) {
	l.mu.Lock()
	m := l.manifests[video]
	l.mu.Unlock()
	if m != nil {
		return m, nil
	}
	m, err := l.store.Manifest(ctx, video)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for old := range l.manifests {
		if len(l.manifests) < maxManifests {
			break
		}
		delete(l.manifests, old) // any: map order is random
	}
	l.manifests[video] = m
	return m, nil
}

// forget drops what is remembered of a removed video.
func (l *library) forget(video cid.Cid) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.manifests, video)
}

// ManifestNode returns the node that path leads to from the video's root.
// Only videos that are offered have any: what an abandoned fetch left has not
// even a name.
func (l *library) ManifestNode(_ context.Context, video cid.Cid, path []int) ([]byte, error) {
	if v := l.recordings.version(video); v != nil {
		return v.node(path)
	}
	if l.fetching(video) == nil {
		if _, err := l.store.Video(video); err != nil {
			return nil, err
		}
	}
	data, err := l.store.ManifestNode(video)
	for _, index := range path {
		if err != nil {
			return nil, err
		}
		var child cid.Cid
		if child, err = manifest.Child(data, index); err == nil {
			data, err = l.store.ManifestNode(child)
		}
	}
	return data, err
}

// Holdings says which pieces of a video can be had here. The channel is closed
// at the next change; it is nil for a video that is neither being fetched,
// nor recorded, nor withdrawn; a disk goes and comes back without a word.
func (l *library) Holdings(video cid.Cid) (*manifest.Holdings, <-chan struct{}, error) {
	if v := l.recordings.version(video); v != nil {
		have, changed := v.holdings()
		return have, changed, nil
	}
	changed, withdrawn := l.isWithdrawn(video)
	if f := l.fetching(video); f != nil && !withdrawn {
		have, changed := f.file.Load().Holdings()
		return have, changed, nil
	}
	m, err := l.manifest(context.Background(), video)
	if err != nil {
		return nil, nil, err
	}
	if withdrawn {
		return manifest.NewHoldings(m.Size()), changed, nil
	}
	have, err := l.store.Holdings(m)
	if err == nil {
		err = l.withoutDamage(m, have)
	}
	return have, nil, err
}

// Name is what the catalogue, or the running fetch, calls a video.
func (l *library) Name(video cid.Cid) string {
	if v, err := l.store.Video(video); err == nil {
		return v.Name
	}
	if f := l.fetching(video); f != nil {
		return f.spec.Name
	}
	return ""
}

// Piece reads one piece and its proof, for a peer that checks both.
func (l *library) Piece(ctx context.Context, video cid.Cid, block, piece int, buf, proof []byte) ([]byte, []byte, error) {
	if v := l.recordings.version(video); v != nil {
		return v.piece(ctx, block, piece, buf, proof)
	}
	m, err := l.manifest(ctx, video)
	if err != nil {
		return nil, nil, err
	}
	if block < 0 || block >= m.NumBlocks() || piece < 0 || piece >= manifest.NumPieces(m.Block(block).Len) {
		return nil, nil, fmt.Errorf("piece %d of block %d of %s: %w", piece, block, video, fs.ErrNotExist)
	}
	if f := l.fetching(video); f != nil {
		if data, proof, err := f.file.Load().ReadPiece(ctx, block, piece, buf, proof); err == nil {
			return data, proof, nil
		}
	}
	b := m.Block(block)
	load := l.store.LoadPiece
	if l.damage.any() { // a disk that lied once is not taken at its word
		load = l.store.ReadPiece
	}
	data, proof, err := load(ctx, b.Digest, b.Len, piece, buf, proof)
	if bad, ok := errors.AsType[*blockstore.CorruptError](err); ok {
		l.marked(bad.Path, b, piece, bad.Offset, manifest.ErrCorrupt.Error())
	}
	if errors.Is(err, blockstore.ErrChanged) {
		err = fmt.Errorf("%w: %w", protocol.ErrChanged, err)
	}
	return data, proof, err
}
