// Package hook hides how one message reaches a receiver outside vidsync: as the
// body of an HTTP request, or on the standard input of a command.
//
// A Webhook or Command tries once, within its time limit. What did not succeed
// is a *Failure, which says what trying again is worth. Order, pauses and memory
// are the caller's.
package hook

import (
	"strings"
	"time"
	"unicode"
)

// Message is what a receiver is told.
type Message struct {
	ID   string   // the same at every attempt; letters, digits and _
	Body []byte   // JSON
	Vars []string // NAME=VALUE: what a command finds in its environment
}

// Failure is an attempt that did not succeed.
type Failure struct {
	// Unreachable receivers did not get the message: other messages will fare no
	// better for now. If not, this message may be the trouble.
	Unreachable bool
	Gone        bool          // the receiver wants no such message, ever
	After       time.Duration // how long the receiver wants to be left alone; 0: it did not say
	Err         error         // what happened
}

func (f *Failure) Error() string { return f.Err.Error() }
func (f *Failure) Unwrap() error { return f.Err }

// told cuts what a receiver said to one printable line.
func told(text string) string {
	const limit = 200
	text = strings.TrimSpace(strings.ToValidUTF8(text, "?"))
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return text
}
