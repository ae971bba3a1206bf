package watch

// HeardIn is how many names are in what the kernel wrote.
func HeardIn(events []byte) int {
	n := newNotes()
	readEvents(events, n)
	set, _ := n.take()
	return len(set)
}
