package daemon

import "github.com/ipfs/go-cid"

// withdraw has this node say, to whoever asks from now on, that it holds nothing
// of a video, until restore is called once. A node that is about to remove its
// copy withdraws it before it asks others for theirs. Of two that count on each
// other both may then say no, and both keep theirs; never do both say yes.
// Pieces that a peer asks for nevertheless are served.
func (l *library) withdraw(video cid.Cid) (restore func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	changed := make(chan struct{})
	l.withdrawn[video] = changed
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.withdrawn, video)
		close(changed)
	}
}

// isWithdrawn also returns what is closed when it is so no more.
func (l *library) isWithdrawn(video cid.Cid) (changed <-chan struct{}, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	changed, ok = l.withdrawn[video]
	return changed, ok
}
