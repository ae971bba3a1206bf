package transcribe

import (
	_ "embed"
	"strings"
	"sync"
)

// languageTable has a line for each language of ISO 639-1: its code, its ISO 639-2
// codes, its English names as transcription servers write them.
//
//go:embed languages.txt
var languageTable string

// languageCodes leads from every code and name in the table to the ISO 639-1 code.
var languageCodes = sync.OnceValue(func() map[string]string {
	codes := make(map[string]string)
	for line := range strings.Lines(languageTable) {
		columns := strings.Fields(line)
		for _, column := range columns {
			for name := range strings.SplitSeq(column, "/") {
				codes[name] = columns[0]
			}
		}
	}
	return codes
})

// undetermined is the code for a language nobody knows.
const undetermined = "und"

// languageCode turns a code, a tag such as en-US or an English name into the ISO
// 639-1 code, or the ISO 639-2 code of a language that has no shorter one. It
// returns "" for anything else.
func languageCode(name string) string {
	name = strings.ToLower(strings.TrimSpace(name))
	if code := languageCodes()[name]; code != "" {
		return code
	}
	name, _, _ = strings.Cut(strings.ReplaceAll(name, "_", "-"), "-")
	if code := languageCodes()[name]; code != "" {
		return code
	}
	switch name {
	case undetermined, "mul", "zxx", "mis", "qaa":
		return ""
	}
	if len(name) != 3 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz") != "" {
		return ""
	}
	return name
}
