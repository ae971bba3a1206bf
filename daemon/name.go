package daemon

import (
	"mime"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ipfs/go-cid"
)

// maxFileName leaves room within the usual 255 bytes for ".part", " (2)" and
// the endings of transcripts.
const maxFileName = 200

// reservedName matches what means a device on some systems, with any ending.
var reservedName = regexp.MustCompile(`(?i)^(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\.|$)`)

// safeName makes a file name of one that a peer chose: one path element, none
// of the characters that some file system refuses or that cannot be seen, not
// hidden, no more than maxFileName bytes. What leaves nothing usable is named by
// the CID.
func safeName(name string, video cid.Cid) string {
	name = trimEnd(shorten(cleanName(name)))
	if name == "" || reservedName.MatchString(name) {
		return video.String()
	}
	return name
}

// cleanName makes one path element of a text, of any length; empty if nothing
// usable is left of it.
func cleanName(name string) string {
	name = strings.Map(func(r rune) rune {
		if isUnsafe(r) {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(name, "_"))
	name = trimEnd(strings.TrimLeftFunc(name, func(r rune) bool { return r == '.' || unicode.IsSpace(r) }))
	if reservedName.MatchString(name) {
		return ""
	}
	return name
}

// isUnsafe leaves joiners alone: Persian and some symbols are written with them.
func isUnsafe(r rune) bool {
	if r == '\u200c' || r == '\u200d' {
		return false
	}
	return strings.ContainsRune(`/\:*?"<>|`, r) || unicode.In(r, unicode.C, unicode.Zl, unicode.Zp)
}

// trimEnd takes away what some systems drop from the end of a name.
func trimEnd(name string) string {
	return strings.TrimRightFunc(name, func(r rune) bool { return r == '.' || unicode.IsSpace(r) })
}

// shorten cuts a long name and keeps its ending.
func shorten(name string) string {
	if len(name) <= maxFileName {
		return name
	}
	ext := filepath.Ext(name)
	if len(ext) > 16 {
		ext = ""
	}
	stem := name[:maxFileName-len(ext)]
	for !utf8.ValidString(stem) {
		stem = stem[:len(stem)-1]
	}
	return stem + ext
}

// moreTypes are media types that the system's table often lacks.
var moreTypes = map[string]string{
	".mkv": "video/x-matroska", ".ts": "video/mp2t", ".mts": "video/mp2t", ".m2ts": "video/mp2t",
	".mxf": "application/mxf", ".mov": "video/quicktime", ".mp4": "video/mp4", ".webm": "video/webm",
	".avi": "video/x-msvideo", ".wav": "audio/wav", ".flac": "audio/flac", ".m4a": "audio/mp4",
}

// mediaType guesses a media type from a name's ending; empty if it says none.
func mediaType(name string) string {
	ext := strings.ToLower(filepath.Ext(name))
	if t := moreTypes[ext]; t != "" {
		return t
	}
	return mime.TypeByExtension(ext)
}
