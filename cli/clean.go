package cli

import (
	"strings"
	"unicode"
)

// clean makes a name or message from a file or a peer harmless on a terminal
// and in a line: control and formatting characters become question marks.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || unicode.Is(unicode.C, r) || r == '\u2028' || r == '\u2029' {
			return '?'
		}
		return r
	}, text)
}

// cleanLines is clean for text of several lines.
func cleanLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = clean(line)
	}
	return strings.Join(lines, "\n")
}
