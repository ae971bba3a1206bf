package transcribe

import (
	"bytes"
	"fmt"
	"strings"
)

// srt writes cues as a SubRip file.
func srt(cues []cue) []byte {
	var b bytes.Buffer
	for i, c := range cues {
		if i > 0 {
			b.WriteByte('\n')
		}
		text := strings.ReplaceAll(strings.Join(c.lines, "\n"), "-->", "->")
		fmt.Fprintf(&b, "%d\n%s --> %s\n%s\n", i+1, srtTime(c.start), srtTime(c.end), text)
	}
	return b.Bytes()
}

func srtTime(o Offset) string {
	h, m, s, ms := o.clock()
	return fmt.Sprintf("%02d:%02d:%02d,%03d", h, m, s, ms)
}
