package blockstore

import (
	"bufio"
	"errors"
	"io"
	"iter"
)

// journalLine is one line of a journal.
type journalLine struct {
	number int    // from 1
	text   []byte // without its end, valid until the next; nil if it is too long
}

// journalLines yields the lines of a journal. It ends with the first error.
func journalLines(r io.Reader) iter.Seq2[journalLine, error] {
	return func(yield func(journalLine, error) bool) {
		in := bufio.NewReaderSize(r, 64<<10)
		buf := make([]byte, 0, 4<<10) // not nil: that is a line that is too long
		for number := 1; ; number++ {
			line, tooLong, err := readLine(in, buf[:0])
			if err != nil && !errors.Is(err, io.EOF) {
				yield(journalLine{}, err)
				return
			}
			if err != nil && len(line) == 0 && !tooLong {
				return
			}
			if buf = line; tooLong {
				line = nil
			}
			if !yield(journalLine{number, line}, nil) || err != nil {
				return
			}
		}
	}
}

// readLine appends a line to buf. Of one that is longer than any fact it reads
// the rest, too, but does not keep it.
func readLine(in *bufio.Reader, buf []byte) (line []byte, tooLong bool, err error) {
	for {
		part, err := in.ReadSlice('\n')
		more := errors.Is(err, bufio.ErrBufferFull)
		if err == nil {
			part = part[:len(part)-1]
		}
		if tooLong = tooLong || len(buf)+len(part) > maxFactBytes; !tooLong {
			buf = append(buf, part...)
		}
		if !more {
			return buf, tooLong, err
		}
	}
}
