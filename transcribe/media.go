package transcribe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	probeLimit       = 2 * time.Minute // time for ffprobe
	probeOutputLimit = 1 << 20         // bytes of its answer
)

// demuxers are the file formats ffmpeg and ffprobe may read. A video is hostile
// input: playlists and other formats that name further files (hls, dash, concat,
// image2, sdp and the like) would let it read any file of this machine, so only
// formats that hold their own media are allowed.
const demuxers = "mov,matroska,avi,asf,flv,live_flv,mpegts,mpeg,mpegvideo,mxf,gxf,wtv,nut,ogg,rm,dv,ivf," +
	"m4v,h264,hevc,av1,obu,wav,w64,aiff,au,caf,mp3,flac,aac,ac3,eac3,dts,mlp,truehd,amr,ape,wv,tta,tak,mpc,mpc8,dsf,voc"

// allocationLimit is the largest single piece of memory ffmpeg and ffprobe may ask for.
const allocationLimit = 256 << 20

// media is what ffprobe tells about a file.
type media struct {
	Format struct {
		Name     string       `json:"format_name"`
		Start    probeSeconds `json:"start_time"` // what the file calls its beginning
		Duration probeSeconds `json:"duration"`
	} `json:"format"`
	Streams []mediaStream `json:"streams"`
}

type mediaStream struct {
	Index    int          `json:"index"`
	Kind     string       `json:"codec_type"`
	Codec    string       `json:"codec_name"`
	Duration probeSeconds `json:"duration"`
	Tags     struct {
		Language string `json:"language"`
	} `json:"tags"`
	Disposition struct {
		Default        int `json:"default"`
		Comment        int `json:"comment"`
		VisualImpaired int `json:"visual_impaired"`
	} `json:"disposition"`
}

// probeSeconds are seconds as ffprobe writes them: a string, "N/A" when unknown.
type probeSeconds float64

func (n *probeSeconds) UnmarshalJSON(data []byte) error {
	seconds, err := strconv.ParseFloat(strings.Trim(string(data), `"`), 64)
	if err == nil && math.Abs(seconds) < float64(math.MaxInt64/sampleRate) {
		*n = probeSeconds(seconds)
	}
	return nil
}

func (n probeSeconds) offset() Offset { return offsetOf(float64(n)) }

// mediaInput is how ffmpeg and ffprobe are told to open a file: as a plain file, in
// an allowed format. The name can be read neither as an option nor as a protocol.
func mediaInput(path string) []string {
	return []string{"-protocol_whitelist", "file,pipe", "-format_whitelist", demuxers, "-i", "file:" + path}
}

// inspect asks ffprobe what a file holds.
func (t *Transcriber) inspect(ctx context.Context, path string) (*media, error) {
	if info, err := os.Stat(path); err != nil {
		return nil, stopf(Unreadable, "%v: nothing to transcribe", err)
	} else if !info.Mode().IsRegular() {
		return nil, stopf(Unreadable, "%s is no ordinary file", path)
	}
	answer := &boundedBuffer{limit: probeOutputLimit}
	args := []string{"-v", "error", "-max_alloc", strconv.Itoa(allocationLimit), "-of", "json", "-show_entries",
		"format=format_name,start_time,duration:stream=index,codec_type,codec_name,duration:stream_tags=language:stream_disposition=default,comment,visual_impaired"}
	err := program{
		name: t.cfg.FFprobe, args: append(args, mediaInput(path)...), limit: probeLimit, stdout: answer,
	}.run(ctx)
	if err != nil {
		return nil, mediaTrouble(ctx, path, t.cfg.FFprobe, err)
	}
	m, err := parseMedia(answer.Bytes())
	if err != nil {
		return nil, stopf(Unreadable, "%s: %v", path, err)
	}
	return m, nil
}

func parseMedia(answer []byte) (*media, error) {
	var m media
	if err := json.Unmarshal(answer, &m); err != nil {
		return nil, fmt.Errorf("read ffprobe's answer: %w", err)
	}
	if m.Format.Name == "" {
		return nil, errors.New("no media format found")
	}
	return &m, nil
}

// mediaTrouble tells a missing program, a time limit and a bad file apart.
func mediaTrouble(ctx context.Context, path, tool string, err error) error {
	var exit *exitError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case notInstalled(err):
		return stopf(EngineMissing, "%s not found: apt-get install -y ffmpeg", tool)
	case errors.Is(err, errTimeLimit):
		return stopf(Failed, "%s: reading it took longer than allowed", path)
	case errors.Is(err, errOutputLimit):
		return stopf(Unreadable, "%s: its description is longer than any real file's", path)
	case !errors.As(err, &exit):
		return err
	case strings.Contains(exit.stderr, "not on whitelist"):
		return stopf(Unreadable, "%s is a playlist or another format that vidsync does not open: %s", path, firstLine(exit.stderr))
	case strings.Contains(exit.stderr, "moov atom not found") && startsAsMP4(path):
		return stopf(Unreadable, "%s is cut short: its index (moov atom) is missing", path)
	}
	return stopf(Unreadable, "%s is damaged or no media file: %v", path, exit)
}

// startsAsMP4 tells whether a file begins with the box that every MP4 and
// QuickTime file of today begins with. ffmpeg goes by the name alone.
func startsAsMP4(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, 8)
	if _, err := io.ReadFull(f, head); err != nil {
		return false
	}
	box := string(head[4:])
	return box == "ftyp" || box == "mdat" || box == "wide" || box == "free"
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return cleanText(line)
}

// track chooses the audio to transcribe: in the wanted language, else the default,
// else the first. Commentary and descriptions for the blind come last.
func (m *media) track(language string) (mediaStream, bool) {
	rank := func(s mediaStream) int {
		switch {
		case s.Disposition.Comment != 0 || s.Disposition.VisualImpaired != 0:
			return 0
		case language != "" && languageCode(s.Tags.Language) == language:
			return 3
		case s.Disposition.Default != 0:
			return 2
		}
		return 1
	}
	best, found := mediaStream{}, false
	for _, s := range m.Streams {
		if s.Kind != "audio" {
			continue
		}
		if !found || rank(s) > rank(best) {
			best, found = s, true
		}
	}
	return best, found
}

// indexed are the formats whose duration is written down, not guessed from the size.
var indexed = []string{"mov", "flac", "avi", "asf", "mxf"}

// missing says how much of the track's promised length did not come out of it, 0
// when that is unknown or too little to matter. Matroska writes down only how long
// the whole file is, so there ffmpeg must also have missed the end of the file.
func (m *media) missing(track mediaStream, a audio) Offset {
	heard, promised := a.length, Offset(0)
	switch kind, _, _ := strings.Cut(m.Format.Name, ","); {
	case slices.Contains(indexed, kind):
		promised = track.Duration.offset()
	case kind == "matroska" && a.endMissing:
		promised = m.Format.Duration.offset()
	}
	if gap := promised - heard; gap > max(2000, promised/20) {
		return gap
	}
	return 0
}
