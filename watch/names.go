package watch

import (
	"path"
	"slices"
	"strings"
)

// DefaultGlob returns the patterns that count if none are given: the usual
// extensions of video and audio files.
//
// Video: mp4 m4v mov qt mkv webm avi mts m2ts ts m2t mxf mpg mpeg vob ogv 3gp
// flv wmv asf dv lrv insv. Audio: mp3 m4a aac wav bwf flac ogg oga opus wma aif aiff.
func DefaultGlob() []string { return slices.Clone(defaultGlob) }

var defaultGlob = []string{
	"*.mp4", "*.m4v", "*.mov", "*.qt", "*.mkv", "*.webm", "*.avi", "*.mts", "*.m2ts", "*.ts", "*.m2t",
	"*.mxf", "*.mpg", "*.mpeg", "*.vob", "*.ogv", "*.3gp", "*.flv", "*.wmv", "*.asf", "*.dv", "*.lrv", "*.insv",
	"*.mp3", "*.m4a", "*.aac", "*.wav", "*.bwf", "*.flac", "*.ogg", "*.oga", "*.opus", "*.wma", "*.aif", "*.aiff",
}

// unfinished are the endings of names that programs give to files they are
// still writing.
var unfinished = []string{"~", ".part", ".partial", ".tmp", ".crdownload", ".download"}

// names tells which names of files count.
type names struct {
	extensions map[string]bool // of patterns that are * and an extension
	patterns   []string        // all others
}

func newNames(glob []string) names {
	n := names{extensions: map[string]bool{}}
	for _, pattern := range glob {
		pattern = strings.ToLower(pattern)
		ext := path.Ext(pattern)
		if len(ext) > 1 && pattern == "*"+ext && !strings.ContainsAny(ext, `*?[\`) {
			n.extensions[ext] = true
			continue
		}
		n.patterns = append(n.patterns, pattern)
	}
	return n
}

// wanted tells whether a file of that name counts.
func (n names) wanted(name string) bool {
	name = strings.ToLower(name)
	if isHidden(name) || slices.ContainsFunc(unfinished, func(end string) bool { return strings.HasSuffix(name, end) }) {
		return false
	}
	if n.extensions[path.Ext(name)] {
		return true
	}
	return slices.ContainsFunc(n.patterns, func(pattern string) bool {
		ok, err := path.Match(pattern, name)
		return ok && err == nil
	})
}

func isHidden(name string) bool { return strings.HasPrefix(name, ".") }
