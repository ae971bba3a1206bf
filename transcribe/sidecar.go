package transcribe

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	// stemLimit keeps sidecar names below the 255 bytes that file systems allow.
	stemLimit = 200
	// sidecarSets is how many sets of sidecars of one video are looked at.
	sidecarSets = 64
	// sidecarNames is how many names are tried for a new set.
	sidecarNames = 9
)

// sidecars is one set of files beside a video: base.json says what the others are.
type sidecars struct {
	base       string // path without the format's extension
	transcript *Transcript
}

func (s sidecars) path(format string) string { return s.base + "." + format }

// ours reports whether a file is as we wrote it: listed in the JSON file and
// not changed since.
func (s sidecars) ours(format string) bool {
	if format == "json" {
		return true
	}
	data, err := readLimited(s.path(format), transcriptLimit)
	return err == nil && s.transcript.Files[format] == hash(data)
}

// intact reports whether no file of the set was written by someone else.
func (s sidecars) intact() bool {
	return !slices.ContainsFunc(formats, func(format string) bool {
		return exists(s.path(format)) && !s.ours(format)
	})
}

// files are the paths of the set's files that exist.
func (s sidecars) files() []string {
	var paths []string
	for _, format := range formats {
		if exists(s.path(format)) {
			paths = append(paths, s.path(format))
		}
	}
	return paths
}

// Sidecars returns the paths of the sidecar files that vidsync wrote beside a video
// and that nobody changed since. A video without any has none; no error is an answer.
func Sidecars(video string) []string {
	var paths []string
	for _, set := range findSidecars(video) {
		for _, format := range formats {
			if exists(set.path(format)) && set.ours(format) {
				paths = append(paths, set.path(format))
			}
		}
	}
	return paths
}

// Find returns the path of a video's transcript in a format: "srt", "vtt", "txt" or
// "json". With language "" it is the newest one of any language. Without one the
// error is fs.ErrNotExist.
func Find(video, language, format string) (string, error) {
	if !slices.Contains(formats, format) {
		return "", fmt.Errorf("unknown transcript format %q", format)
	}
	want := languageCode(language)
	var best sidecars
	for _, set := range findSidecars(video) {
		fits := language == "" || set.transcript.Language == want
		if !fits || !exists(set.path(format)) {
			continue
		}
		if best.transcript == nil || set.transcript.Created.After(best.transcript.Created) {
			best = set
		}
	}
	if best.transcript == nil {
		return "", fmt.Errorf("%s transcript of %s: %w", format, video, fs.ErrNotExist)
	}
	return best.path(format), nil
}

// findSidecars looks for the sets that belong to a video, by what their JSON files
// say, not by their names.
func findSidecars(video string) []sidecars {
	dir, name := filepath.Dir(video), filepath.Base(video)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var sets []sidecars
	for _, entry := range entries {
		base, isJSON := strings.CutSuffix(entry.Name(), ".json")
		if !isJSON || !strings.HasPrefix(base, stemOf(name)+".") || len(sets) == sidecarSets {
			continue
		}
		t, err := ReadTranscript(filepath.Join(dir, entry.Name()))
		if err == nil && t.Source.Name == name {
			sets = append(sets, sidecars{base: filepath.Join(dir, base), transcript: t})
		}
	}
	return sets
}

// stemOf is a file name without its extension, short enough for ours.
func stemOf(name string) string {
	return shorten(strings.TrimSuffix(name, filepath.Ext(name)))
}

func shorten(name string) string {
	for len(name) > stemLimit {
		_, size := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-size]
	}
	return name
}

// publish writes the transcript's sidecar files. What was there of ours for this
// video and language is replaced; what is not ours stays, and another name is taken.
func publish(video string, t *Transcript) (sidecars, error) {
	base, err := baseFor(video, t.Language)
	if err != nil {
		return sidecars{}, err
	}
	set := sidecars{base: base, transcript: t}
	for _, format := range formats[1:] { // gone first: after a crash a file is either as the JSON says or missing
		if err := os.Remove(set.path(format)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return set, fmt.Errorf("replace sidecar: %w", err)
		}
	}
	return set, set.write(video, formats[1:])
}

// write writes the JSON file, then those of the given formats.
func (s sidecars) write(video string, missing []string) error {
	contents := make(map[string][]byte)
	for _, format := range missing {
		data, err := s.transcript.Render(format)
		if err != nil {
			return err
		}
		contents[format] = data
		if s.transcript.Files == nil {
			s.transcript.Files = make(map[string]string)
		}
		s.transcript.Files[format] = hash(data)
	}
	data, err := s.transcript.Render("json")
	if err != nil {
		return err
	}
	contents["json"] = data
	mode := sidecarMode(video)
	for _, format := range formats {
		if data, ok := contents[format]; ok {
			if err := writeFile(s.path(format), data, mode); err != nil {
				return err
			}
		}
	}
	return nil
}

// restore writes again what is missing from a set.
func (s sidecars) restore(video string) error {
	missing := slices.DeleteFunc(slices.Clone(formats), func(format string) bool { return exists(s.path(format)) })
	if len(missing) == 0 {
		return nil
	}
	return s.write(video, missing)
}

// baseFor chooses the name of a set: that of the set it replaces, else NAME.LANG. If
// another video has taken that, NAME.EXT.LANG; if the files are someone else's,
// .vidsync is added.
func baseFor(video, language string) (string, error) {
	for _, set := range findSidecars(video) {
		if set.transcript.Language == language && set.intact() {
			return set.base, nil
		}
	}
	dir, name := filepath.Dir(video), filepath.Base(video)
	stem := stemOf(name)
	base := filepath.Join(dir, stem+"."+language)
	if !taken(base) {
		return base, nil
	}
	if _, err := ReadTranscript(base + ".json"); err == nil && !ownedBy(base, name) {
		stem = shorten(name)
		if base = filepath.Join(dir, stem+"."+language); !taken(base) {
			return base, nil
		}
	}
	for n := 1; n <= sidecarNames; n++ {
		mark := ".vidsync"
		if n > 1 {
			mark += fmt.Sprint(n)
		}
		if base = filepath.Join(dir, stem+"."+language+mark); !taken(base) {
			return base, nil
		}
	}
	return "", fmt.Errorf("sidecar names of %s are all taken by other files: %w", video, fs.ErrExist)
}

func ownedBy(base, video string) bool {
	t, err := ReadTranscript(base + ".json")
	return err == nil && t.Source.Name == video
}

// taken reports whether any file of a set exists.
func taken(base string) bool {
	return len(sidecars{base: base}.files()) > 0
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// sidecarMode lets those read a sidecar who may read the video.
func sidecarMode(video string) fs.FileMode {
	info, err := os.Stat(video)
	if err != nil {
		return 0o600
	}
	return info.Mode().Perm()&0o666 | 0o600
}

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
