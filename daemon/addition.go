package daemon

import (
	"context"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/vidsync/vidsync/api"
)

const (
	// addTogether is how many short files are added at once. Most of what they
	// cost is the wait for stable storage, which they share.
	addTogether = 32
	// addAlone is the shortest file that is added with no other file but short
	// ones beside it, since that takes every core. Up to here a file keeps one
	// buffer of at most manifest.PieceSize.
	addAlone = 4 << 20
)

// addition is the state of one Add.
type addition struct {
	node     *Node
	req      api.AddRequest
	files    []input
	outcomes []inputOutcome // of files

	total int64
	done  atomic.Int64           // bytes
	name  atomic.Pointer[string] // of the file that was begun last
}

// inputOutcome is what came of one file.
type inputOutcome struct {
	added api.Added
	err   error
}

func newAddition(n *Node, req api.AddRequest, files []input) *addition {
	a := &addition{node: n, req: req, files: files, outcomes: make([]inputOutcome, len(files))}
	for _, f := range files {
		a.total += f.size
	}
	return a
}

// run adds the files, short ones together. Copies go one by one: two of the same
// bytes are to become one. It returns the context's error.
func (a *addition) run(ctx context.Context) error {
	var short errgroup.Group
	short.SetLimit(addTogether)
	for i, f := range a.files {
		if ctx.Err() != nil {
			break
		}
		if a.req.Copy || f.size >= addAlone {
			a.addOne(ctx, i)
			continue
		}
		short.Go(func() error {
			a.addOne(ctx, i)
			return nil
		})
	}
	_ = short.Wait() // returns nil
	return ctx.Err()
}

func (a *addition) addOne(ctx context.Context, i int) {
	f := a.files[i]
	a.name.Store(&f.relative)
	one := adder{node: a.node, req: a.req, done: &a.done}
	o := &a.outcomes[i]
	if o.added, o.err = one.add(ctx, f); o.err != nil {
		a.done.Add(f.size - one.current.Load())
	}
}

// report emits progress until the returned function is called.
func (a *addition) report(emit func(api.Progress)) (stop func()) {
	if emit == nil {
		return func() {}
	}
	m, phase := newMeter(), "hashing"
	if a.req.Copy {
		phase = "copying" // and hashing on the way
	}
	return every(progressEvery, func() {
		p := m.progress(phase, a.done.Load(), a.total)
		if name := a.name.Load(); name != nil {
			p.Name = *name
		}
		emit(p)
	})
}
