package assemble

import (
	"bytes"
	"context"
	"slices"

	"github.com/vidsync/vidsync/manifest"
)

// repeat is a block that a video has more than once.
type repeat struct {
	at     []int // its positions, in order
	queued bool  // to be copied from one position to the others; guarded by File.mu
}

// repeatsOf finds the repeats of a video. It sorts positions instead of mapping
// all digests: most videos repeat nothing.
func repeatsOf(m *manifest.Manifest) map[manifest.Digest]*repeat {
	order := make([]int32, m.NumBlocks())
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int {
		x, y := m.Block(int(a)).Digest, m.Block(int(b)).Digest
		return bytes.Compare(x[:], y[:])
	})
	repeats := make(map[manifest.Digest]*repeat)
	for len(order) > 0 {
		d := m.Block(int(order[0])).Digest
		n := slices.IndexFunc(order, func(i int32) bool { return m.Block(int(i)).Digest != d })
		if n < 0 {
			n = len(order)
		}
		if n > 1 {
			repeats[d] = &repeat{at: positions(order[:n])}
		}
		order = order[n:]
	}
	return repeats
}

func positions(order []int32) []int {
	out := make([]int, len(order))
	for i, p := range order {
		out[i] = int(p)
	}
	slices.Sort(out)
	return out
}

// queueRepeat has Run copy a block, once it is whole, to where it occurs again.
// f.mu is held.
func (f *File) queueRepeat(block int) {
	if len(f.repeats) == 0 || !f.held.Full(block) {
		return
	}
	r := f.repeats[f.video.Block(block).Digest]
	if r == nil || r.queued {
		return
	}
	r.queued = true
	f.repeated = append(f.repeated, r)
	notify(f.again)
}

func (f *File) full(block int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.held.Full(block)
}

// repeatLoop copies blocks inside the video as they become whole.
func (f *File) repeatLoop(ctx context.Context) error {
	l := newFiller(f, nil)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-f.again:
		}
		for r := f.nextRepeat(); r != nil; r = f.nextRepeat() {
			if err := l.fill(ctx, r.at); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}

func (f *File) nextRepeat() *repeat {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.repeated) == 0 {
		return nil
	}
	r := f.repeated[0]
	f.repeated = f.repeated[1:]
	return r
}
