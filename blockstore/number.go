package blockstore

import (
	"math/rand/v2"
	"sync"
)

// numberRun is how many numbers follow each other. A run begins anywhere among
// 2^64: that any two of 10,000 meet has a probability under 1 in 10^8.
const numberRun = 1024

// numbers gives out the numbers of files. Those that are given out one after the
// other follow each other as a rule, so that their records lie side by side.
type numbers struct {
	mu   sync.Mutex
	next fileID
	left int // of the run
}

func (n *numbers) take() fileID {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.left == 0 {
		n.next, n.left = anyNumber(), numberRun
	}
	id := n.next
	n.next, n.left = n.next+1, n.left-1
	return id
}

// anyNumber is a number far from all others.
func anyNumber() fileID { return fileID(rand.Uint64()) }
