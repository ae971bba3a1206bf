package daemon

import (
	"mime"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ipfs/go-cid"
)

// maxFileName leaves room within the usual 255 bytes for ".part", " (2)" and
// the endings of transcripts.
const maxFileName = 200

// reservedNames mean devices on some systems, with any ending.
var reservedNames = map[string]bool{"con": true, "prn": true, "aux": true, "nul": true}

// safeName makes a file name of one that a peer chose: one path element, no
// control characters, not hidden, no more than maxFileName bytes. What leaves
// nothing usable is named by the CID.
func safeName(name string, video cid.Cid) string {
	if name = cleanName(name); name == "" {
		return video.String()
	}
	return shorten(name)
}

// cleanName makes one path element of a text, of any length; empty if nothing
// usable is left of it.
func cleanName(name string) string {
	name = strings.ToValidUTF8(name, "_")
	name = strings.Map(func(r rune) rune {
		if r == '/' || r == '\\' || r == ':' || unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control) {
			return '_'
		}
		return r
	}, name)
	name = strings.TrimLeft(strings.TrimSpace(name), ".")
	name = strings.TrimRight(name, ". ")
	stem, _, _ := strings.Cut(strings.ToLower(name), ".")
	if reservedNames[stem] {
		return ""
	}
	return name
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
