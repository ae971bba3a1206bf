package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vidsync/vidsync/api"
)

// phaseTranscribing counts milliseconds of audio where others count bytes.
const phaseTranscribing = "transcribing"

// facts are the columns of a state as texts; "" is not known.
type facts struct{ phase, percent, amount, rate, end string }

func factsOf(v view) facts {
	l := v.latest
	f := facts{phase: clean(l.Phase), amount: amount(l), rate: speed(l)}
	if f.phase == "" {
		f.phase = "working"
	}
	if l.Size > 0 {
		f.percent = fmt.Sprintf("%d%%", percent(l.Done, l.Size))
	}
	f.end = ending(v)
	return f
}

// amount is how much is done, of how much.
func amount(l api.Progress) string {
	show := size
	if l.Phase == phaseTranscribing {
		show = clock
	}
	switch {
	case l.Size > 0:
		return shortenUnit(show(l.Done), show(l.Size))
	case l.Done > 0:
		return show(l.Done)
	}
	return ""
}

// shortenUnit leaves the unit out where both have the same.
func shortenUnit(done, size string) string {
	number, unit, ok := strings.Cut(done, " ")
	if ok && strings.HasSuffix(size, " "+unit) {
		done = number
	}
	return done + "/" + size
}

func speed(l api.Progress) string {
	if l.BytesPerSecond <= 0 {
		return ""
	}
	if l.Phase == phaseTranscribing {
		return fmt.Sprintf("%.1fx", l.BytesPerSecond/1000)
	}
	return rate(l.BytesPerSecond)
}

// ending says when the phase will be over or, if nobody knows, how long it has
// been going on.
func ending(v view) string {
	l := v.latest
	if quiet := v.now.Sub(v.news); v.reports > 0 && quiet > staleTime {
		return "no news for " + span(quiet.Truncate(time.Second))
	}
	if v.reports > 0 && l.Size > 0 && l.ETASeconds >= 0 && l.BytesPerSecond > 0 {
		return span(seconds(l.ETASeconds)) + " left"
	}
	return span(v.now.Sub(v.phase).Truncate(time.Second))
}

// sharesLine says what the call waits for, or who gives how much.
func sharesLine(l api.Progress, st style) string {
	if l.Message != "" {
		return clean(l.Message)
	}
	return shares(l.Peers, st)
}

// shares counts peers and says who gave how much of the bytes.
func shares(peers []api.PeerShare, st style) string {
	if len(peers) == 0 {
		return ""
	}
	var total int64
	for _, p := range peers {
		total += p.Bytes
	}
	var each []string
	for _, p := range peers {
		each = append(each, fmt.Sprintf("%s %d%%", shortPeer(p.PeerID, st), percent(p.Bytes, total)))
	}
	return plural(len(peers), "peer") + ": " + strings.Join(each, ", ")
}

// shortPeer is the end of a peer ID: the beginnings are all alike.
func shortPeer(id string, st style) string {
	const keep = 6
	id = clean(id)
	if len(id) <= keep {
		return id
	}
	return st.ellipsis() + id[len(id)-keep:]
}

// plural is a number of things.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// joinNonEmpty joins the texts that are not empty.
func joinNonEmpty(texts ...string) string {
	return strings.Join(slices.DeleteFunc(texts, func(t string) bool { return t == "" }), ", ")
}
