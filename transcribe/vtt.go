package transcribe

import (
	"bytes"
	"fmt"
	"strings"
)

// vttEscape keeps text from being read as markup or as a time line.
var vttEscape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// vtt writes cues as a WebVTT file. The note says where the text comes from.
func vtt(cues []cue, note string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "WEBVTT\n\nNOTE %s\n", strings.ReplaceAll(cleanText(note), "-->", "->"))
	for _, c := range cues {
		text := vttEscape.Replace(strings.Join(c.lines, "\n"))
		fmt.Fprintf(&b, "\n%s --> %s\n%s\n", vttTime(c.start), vttTime(c.end), text)
	}
	return b.Bytes()
}

func vttTime(o Offset) string {
	h, m, s, ms := o.clock()
	return fmt.Sprintf("%02d:%02d:%02d.%03d", h, m, s, ms)
}
