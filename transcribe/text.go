package transcribe

import "strings"

// paragraphPause is the silence that starts a new paragraph.
const paragraphPause = Offset(2000)

// plainText writes the segments as running text, one line for each paragraph.
func plainText(segments []Segment) []byte {
	var b strings.Builder
	var paragraph []Word
	flush := func() {
		if len(paragraph) > 0 {
			b.WriteString(joinWords(paragraph) + "\n")
		}
		paragraph = nil
	}
	end := Offset(0)
	for _, s := range segments {
		if s.Dropped {
			continue
		}
		if len(paragraph) > 0 && s.Start-end > paragraphPause {
			flush()
			b.WriteByte('\n')
		}
		paragraph = append(paragraph, Word{Text: s.Text})
		end = max(end, s.End)
	}
	flush()
	return []byte(b.String())
}
