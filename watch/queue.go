package watch

import "container/heap"

// queue is files in order of before; a file is in at most one queue.
type queue struct {
	files  []*file
	before func(a, b *file) bool
}

// soonest orders files by when they are to be looked at.
func soonest(a, b *file) bool { return a.due < b.due }

// oldest orders files that are to be told: what was moved first, because it
// needs no reading and because a Gone that comes before it would tell less;
// then what is gone, then what was written first. Names decide between equals.
func oldest(a, b *file) bool {
	if ra, rb := a.rank(), b.rank(); ra != rb {
		return ra < rb
	}
	if a.id.ModTime != b.id.ModTime {
		return a.id.ModTime < b.id.ModTime
	}
	if a.dir != b.dir {
		return a.dir.rel < b.dir.rel
	}
	return a.name < b.name
}

// finishedRank is the rank of files that are finished.
const finishedRank = 2

func (f *file) rank() int {
	switch {
	case f.moved:
		return 0
	case f.state == missing:
		return 1
	default:
		return finishedRank
	}
}

func (q *queue) put(f *file) { heap.Push((*fileHeap)(q), f) }

// first returns the file that is next, and nil if there is none.
func (q *queue) first() *file {
	if len(q.files) == 0 {
		return nil
	}
	return q.files[0]
}

func (q *queue) take() *file { return heap.Pop((*fileHeap)(q)).(*file) }

// remove takes f out if it is in this queue.
func (q *queue) remove(f *file) {
	if i := int(f.slot); i >= 0 && i < len(q.files) && q.files[i] == f {
		heap.Remove((*fileHeap)(q), i)
	}
}

// fileHeap is a queue as container/heap wants it.
type fileHeap queue

func (h *fileHeap) Len() int           { return len(h.files) }
func (h *fileHeap) Less(i, j int) bool { return h.before(h.files[i], h.files[j]) }

func (h *fileHeap) Swap(i, j int) {
	h.files[i], h.files[j] = h.files[j], h.files[i]
	h.files[i].slot, h.files[j].slot = int32(i), int32(j)
}

func (h *fileHeap) Push(x any) {
	f := x.(*file)
	f.slot = int32(len(h.files))
	h.files = append(h.files, f)
}

func (h *fileHeap) Pop() any {
	last := len(h.files) - 1
	f := h.files[last]
	h.files[last] = nil
	h.files = h.files[:last]
	f.slot = -1
	return f
}
