package cli

import (
	"strings"
)

var (
	spinnerUnicode = []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}
	spinnerASCII   = []string{"|", "/", "-", "\\"}
)

// spinner turns with time, so that one sees that the program lives.
func spinner(v view, st style) string {
	signs := spinnerASCII
	if st.unicode {
		signs = spinnerUnicode
	}
	turn := int(max(v.now.Sub(v.began), 0) / frameInterval)
	return signs[turn%len(signs)]
}

// bar is a bar of width columns.
func bar(done, size int64, width int, st style) string {
	if !st.unicode {
		return barASCII(done, size, width)
	}
	halves := int(min(max(float64(done)/float64(size), 0), 1) * float64(2*width))
	full := strings.Repeat("━", halves/2)
	if halves%2 == 1 {
		full += "╸"
	}
	rest := strings.Repeat("─", width-(halves+1)/2)
	return st.paint(green, full) + rest
}

func barASCII(done, size int64, width int) string {
	inner := max(width-2, 0)
	full := int(min(max(float64(done)/float64(size), 0), 1) * float64(inner))
	return "[" + strings.Repeat("=", full) + strings.Repeat(" ", inner-full) + "]"
}
