package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/watch"
)

const (
	// recordingTick is how often a growing file is looked at. What is before the
	// size that it had one look ago counts as written.
	recordingTick = 500 * time.Millisecond
	// maxRecordingStep is how many bytes are hashed between two versions, so that
	// one that is far behind is offered bit by bit.
	maxRecordingStep = 16 * manifest.BlockSize
	// maxVersions is how many versions of one recording are served, the newest;
	// fetchers on slow links are that far behind. Of the first versionManifests
	// of them the manifest can still be had.
	maxVersions      = 1024
	versionManifests = 4
)

// recording is one file that grows. Its blocks are hashed once the writer has
// passed them, and every version of its manifest lists more of them. What is
// served is checked against the hash, so a block that is rewritten is noticed,
// and has another hash in the next version.
type recording struct {
	id     string // the same over all versions, and restarts
	added  time.Time
	cancel context.CancelFunc // of run
	done   chan struct{}      // closed when run has ended
	// Under the list's mutex: the list has started run, has ended it again.
	started, stopped bool

	size int64 // at the last look; of the goroutine that runs, or closes

	mu       sync.Mutex
	inode    watch.Identity
	path     string
	relative string // below the watched folder
	blocks   []recordedBlock
	versions []*version // newest last
	changed  chan struct{}
	trouble  error // why it does not go on
}

// recordedBlock is a block that is settled, as far as is known.
type recordedBlock struct {
	digest   manifest.Digest
	outboard manifest.Outboard
	len      int64
	since    int  // number of the first version that lists it
	spoiled  bool // the file has other bytes there now
}

// version is one manifest of a recording.
type version struct {
	of       *recording
	number   int // from 1
	video    cid.Cid
	size     int64
	manifest *manifest.Manifest // nil: it cannot be had any more
}

// open opens the file, which must be the one that was begun with. It is opened
// for every use: a file that is held open keeps its card from being taken out.
func (r *recording) open() (*os.File, int64, error) {
	r.mu.Lock()
	path, inode := r.path, r.inode
	r.mu.Unlock()
	f, err := openRegular(path)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !sameInode(inode, watch.Identity(blockstore.StampOf(info))) {
		err = fmt.Errorf("%s is another file now: %w", path, fs.ErrNotExist)
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

func sameInode(a, b watch.Identity) bool { return a.Device == b.Device && a.Inode == b.Inode }

// adopt tells whether the file of that identity is the one that was begun with,
// and takes over its device, which is another one when a card is put in again. On
// another device a shorter file is another file: every card has that inode.
func (r *recording) adopt(id watch.Identity) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !isSameFile(r.inode, id, blocksLen(r.blocks)) {
		return false
	}
	r.inode = id
	return true
}

// isSameFile tells whether a file is the one that was begun with, of which so many
// bytes were offered.
func isSameFile(begun, id watch.Identity, offered int64) bool {
	return begun.Inode == id.Inode && (begun.Device == id.Device || id.Size >= offered)
}

// where is the file's path, and the one below the watched folder.
func (r *recording) where() (path, relative string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.path, r.relative
}

// advance hashes what is settled now, and tells whether a new version is due.
func (r *recording) advance(ctx context.Context) (due bool, err error) {
	f, size, err := r.open()
	if err != nil {
		return false, err
	}
	defer f.Close()
	settled := min(size, r.size)
	r.size = size
	cut := r.cutTo(size)
	mended, err := r.hashSpoiled(f)
	if err != nil {
		return false, err
	}
	have := r.settled()
	end := min(settled, writtenEnd(f, have, size)) / manifest.BlockSize * manifest.BlockSize
	grown, err := r.hash(ctx, f, have, min(end, have+maxRecordingStep))
	return cut || mended || grown, err
}

// complete hashes all that is left of a file that grows no more.
func (r *recording) complete(ctx context.Context) error {
	f, size, err := r.open()
	if err != nil {
		return err
	}
	defer f.Close()
	r.cutTo(size)
	if _, err := r.hashSpoiled(f); err != nil {
		return err
	}
	_, err = r.hash(ctx, f, r.settled(), size)
	return err
}

// settled is how many bytes from the file's start are hashed.
func (r *recording) settled() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return blocksLen(r.blocks)
}

func blocksLen(blocks []recordedBlock) int64 {
	if len(blocks) == 0 {
		return 0
	}
	last := len(blocks) - 1
	return int64(last)*manifest.BlockSize + blocks[last].len
}

// cutTo forgets the blocks of which the file has not all bytes any more, and a
// short one if it goes on behind it.
func (r *recording) cutTo(size int64) (cut bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for n := len(r.blocks); n > 0; n = len(r.blocks) {
		end := blocksLen(r.blocks)
		if end <= size && (end == size || end%manifest.BlockSize == 0) {
			break
		}
		r.blocks, cut = r.blocks[:n-1], true
	}
	return cut
}

// hash adds the blocks from an offset to another one.
func (r *recording) hash(ctx context.Context, f *os.File, from, to int64) (grown bool, err error) {
	if to <= from {
		return false, nil
	}
	first := int(from / manifest.BlockSize)
	fresh := make([]recordedBlock, manifest.NumBlocks(to-from))
	_, err = manifest.Split(ctx, io.NewSectionReader(f, from, to-from), to-from, manifest.SplitConfig{
		Block: func(b manifest.Block, o manifest.Outboard) error {
			fresh[b.Index] = recordedBlock{digest: b.Digest, outboard: o, len: b.Len}
			return nil
		},
	})
	if err != nil {
		return false, fmt.Errorf("hash %s from byte %d on: %w", f.Name(), from, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.blocks = append(r.blocks[:first], fresh...)
	return true, nil
}

// hashSpoiled hashes the blocks anew whose bytes were found to have changed.
func (r *recording) hashSpoiled(f *os.File) (mended bool, err error) {
	for i, length := range r.spoiled() {
		section := io.NewSectionReader(f, int64(i)*manifest.BlockSize, length)
		digest, outboard, err := manifest.HashBlock(section, length, make([]byte, manifest.PieceSize))
		if err != nil {
			return mended, fmt.Errorf("hash block %d of %s: %w", i, f.Name(), err)
		}
		r.mu.Lock()
		r.blocks[i] = recordedBlock{digest: digest, outboard: outboard, len: length}
		r.mu.Unlock()
		mended = true
	}
	return mended, nil
}

// spoiled are the lengths of the blocks to be hashed anew.
func (r *recording) spoiled() map[int]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := map[int]int64{}
	for i, b := range r.blocks {
		if b.spoiled {
			found[i] = b.len
		}
	}
	return found
}

// listBlocks makes a version of the blocks that are there now; nil if there are
// none, or not one more than before.
func (r *recording) listBlocks() (*version, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	digests := make([]manifest.Digest, len(r.blocks))
	for i, b := range r.blocks {
		digests[i] = b.digest
	}
	m, err := manifest.New(blocksLen(r.blocks), digests)
	if err != nil || len(digests) == 0 {
		return nil, err
	}
	v := &version{of: r, number: 1, video: m.CID(), size: m.Size(), manifest: m}
	if last := r.newest(); last != nil {
		if last.video == v.video {
			return nil, nil
		}
		v.number = last.number + 1
	}
	for i := range r.blocks {
		if r.blocks[i].since == 0 {
			r.blocks[i].since = v.number
		}
	}
	return v, nil
}

// newest is the newest version; nil before the first. The caller holds mu.
func (r *recording) newest() *version {
	if len(r.versions) == 0 {
		return nil
	}
	return r.versions[len(r.versions)-1]
}

// run offers more and more of the file until ctx ends.
func (r *recording) run(ctx context.Context, publish func(*recording) error, tell func(*recording, error)) {
	defer close(r.done)
	tick := time.NewTicker(recordingTick)
	defer tick.Stop()
	due := false // there is something to publish
	for {
		more, err := r.advance(ctx)
		if due = due || more; err == nil && due {
			err = publish(r)
			due = err != nil
		}
		if ctx.Err() != nil {
			return
		}
		if r.setTrouble(err) {
			tell(r, err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// setTrouble tells whether that is news.
func (r *recording) setTrouble(err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	news := (err == nil) != (r.trouble == nil)
	r.trouble = err
	return news
}
