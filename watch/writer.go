package watch

// writer says whether some process has a file open for writing.
type writer int

const (
	writerUnknown writer = iota // it is not ours, or the file system cannot tell
	writerNone
	writerOpen
)
