package watch

import "time"

// growthPause is the shortest time between two events Growing of one file.
const growthPause = time.Second

// growth is what is remembered of a file that grows.
type growth struct {
	from   string        // where it was told as growing, if it was moved since
	size   int64         // that was told last
	last   time.Duration // when it was told
	told   bool          // at all
	fresh  bool          // it has changed since
	queued bool          // it is in the line of those to be told
}

// lookAt is when to look whether the file has grown.
func (g *growth) lookAt(now time.Duration) time.Duration {
	if g.fresh && !g.queued {
		return max(now, g.last+growthPause)
	}
	return now + growthPause
}

// grows takes note that a file is being written.
func (t *tracker) grows(f *file) {
	f.active = true
	if !t.cfg.Live {
		return
	}
	t.tree.beginGrowth(f)
	f.growth.fresh = true
	t.tellGrowth(f)
}

// tellGrowth puts a growing file into the line of those to be told, if its time
// has come.
func (t *tracker) tellGrowth(f *file) {
	g := f.growth
	if g == nil || !g.fresh || g.queued {
		return
	}
	if g.told && t.now() < g.last+growthPause {
		return
	}
	g.queued = true
	t.growing = append(t.growing, f)
}

// adoptGrowth goes on with what was told of a growing file before it was renamed to f.
func (t *tracker) adoptGrowth(f *file) {
	old := t.tree.growing[f.id.inode()]
	if old == nil || !old.growth.told || stillThere(t.path(old), f.id) {
		return
	}
	g := *old.growth
	if g.from == "" {
		g.from = t.path(old)
	}
	g.queued = false
	t.tree.endGrowth(old)
	t.tree.beginGrowth(f)
	*f.growth = g
	f.active = true
	f.told, old.told = f.told || old.told, false
	if old.state == missing {
		t.forget(old)
	}
}

// grewAt is the path under which f was told as growing if it has another one
// since and that was not told.
func (t *tracker) grewAt(f *file) string {
	if f.growth == nil || f.growth.from == "" {
		return ""
	}
	if other := t.tree.find(f.growth.from); other != nil && other.told {
		return ""
	}
	return f.growth.from
}
