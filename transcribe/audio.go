package transcribe

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	sampleRate     = 16000
	bytesPerSecond = 2 * sampleRate // s16le, one channel

	// audioLimit is the most audio taken from one file; the rest is left out.
	audioLimit = 48 * time.Hour
	// thinnestAudio is the lowest bit rate believed. A file of a few kilobytes whose
	// time stamps span years may not fill the disk with silence.
	thinnestAudio = 250
	// audioSlack is added to every length that was only promised.
	audioSlack = time.Minute
	// extractBase and the audio's own length together limit ffmpeg's time; it needs
	// about a thousandth of the latter.
	extractBase = 5 * time.Minute
)

// audio is the sound of one video as 16 kHz mono s16le in a file.
type audio struct {
	path       string
	length     Offset
	endMissing bool // ffmpeg says that the file stops in its middle
}

// extract decodes one track of a video into path, so that a place in the audio is
// the same place in the video: a late start and holes become silence.
func (t *Transcriber) extract(ctx context.Context, video string, m *media, track mediaStream, path string, report *reporter) (audio, error) {
	info, err := os.Stat(video)
	if err != nil {
		return audio{}, stopf(Unreadable, "%v: it vanished", err)
	}
	promised := m.Format.Duration.offset().Duration()
	limit := audioBound(promised, info.Size())
	part, err := os.Create(path + ".part")
	if err != nil {
		return audio{}, fmt.Errorf("create audio file: %w", err)
	}
	defer part.Close()
	out := &audioWriter{
		to:    bufio.NewWriterSize(part, 1<<20),
		limit: int64(limit/time.Second) * bytesPerSecond,
		wrote: func(n int64) { report.audio(PhaseExtracting, lengthOf(n).Duration(), promised) },
	}
	complaints := &tailWriter{}
	if err := t.decode(ctx, video, decodeArgs(m, track), limit, out, complaints); err != nil {
		return audio{}, err
	}
	if err := finishAudio(out.to, part, path); err != nil {
		return audio{}, err
	}
	return audio{
		path:       path,
		length:     lengthOf(out.written),
		endMissing: strings.Contains(complaints.String(), "ended prematurely"),
	}, nil
}

// audioBound is how long the audio of a file can be at most.
func audioBound(promised time.Duration, size int64) time.Duration {
	bySize := time.Duration(min(float64(size)*8/thinnestAudio, audioLimit.Seconds())) * time.Second
	most := min(audioLimit, bySize+audioSlack)
	if promised > 0 {
		most = min(most, promised+audioSlack)
	}
	return most
}

// decodeArgs has ffmpeg write one track so that its first sample is at the file's
// beginning, also when the track begins later. The filter that fills holes counts in
// samples of its input, so the rate is changed before it.
func decodeArgs(m *media, track mediaStream) []string {
	first := int64(math.Round(float64(m.Format.Start) * sampleRate))
	return []string{
		"-map", "0:" + strconv.Itoa(track.Index), "-vn", "-sn", "-dn", "-ac", "1",
		"-af", fmt.Sprintf("aresample=%d,aresample=async=1:first_pts=%d", sampleRate, first), "-f", "s16le", "pipe:1",
	}
}

// decode runs ffmpeg until the file or the limit ends.
func (t *Transcriber) decode(ctx context.Context, video string, output []string, limit time.Duration, out *audioWriter, complaints *tailWriter) error {
	args := []string{"-nostdin", "-v", "error", "-max_alloc", strconv.Itoa(allocationLimit), "-copyts"}
	args = append(append(args, mediaInput(video)...), output...)
	err := program{name: t.cfg.FFmpeg, args: args, limit: extractBase + limit, stdout: out, stderr: complaints}.run(ctx)
	switch {
	case err == nil, ctx.Err() == nil && errors.Is(err, errEnoughAudio):
		return nil
	case out.err != nil && ctx.Err() == nil:
		return fmt.Errorf("write audio of %s: %w", video, out.err)
	}
	return mediaTrouble(ctx, video, t.cfg.FFmpeg, err)
}

// finishAudio gives the file its name once every byte of it is on disk.
func finishAudio(buffered *bufio.Writer, part *os.File, path string) error {
	err := errors.Join(buffered.Flush(), part.Sync(), part.Close())
	if err == nil {
		err = os.Rename(part.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write audio: %w", err)
	}
	return syncFolder(filepath.Dir(path))
}

// errEnoughAudio ends ffmpeg at the limit.
var errEnoughAudio = errors.New("enough audio")

// audioWriter counts what ffmpeg decodes and takes no more than limit bytes.
type audioWriter struct {
	to      *bufio.Writer
	limit   int64
	written int64
	wrote   func(total int64)
	err     error // of the disk
}

func (w *audioWriter) Write(p []byte) (int, error) {
	taken := p[:min(int64(len(p)), w.limit-w.written)]
	n, err := w.to.Write(taken)
	w.written += int64(n)
	w.wrote(w.written)
	if err != nil {
		w.err = err
		return n, err
	}
	if len(taken) < len(p) {
		return n, errEnoughAudio
	}
	return n, nil
}

// lengthOf is how long that many bytes of audio last.
func lengthOf(bytes int64) Offset { return Offset(bytes * 1000 / bytesPerSecond) }

// place is where in the audio file an offset lies.
func place(o Offset) int64 { return int64(o) * bytesPerSecond / 1000 }

// findSpeech looks for speech in the audio.
func (a audio) findSpeech(report *reporter) ([]stretch, error) {
	f, err := os.Open(a.path)
	if err != nil {
		return nil, fmt.Errorf("open audio: %w", err)
	}
	defer f.Close()
	report.audio(PhaseSegmenting, 0, a.length.Duration())
	speech, err := findSpeech(f)
	report.audio(PhaseSegmenting, a.length.Duration(), a.length.Duration())
	return speech, err
}

// wav opens a span of the audio as a WAV file of size bytes. The caller closes it.
func (a audio) wav(s stretch) (wav io.ReadCloser, size int64, err error) {
	f, err := os.Open(a.path)
	if err != nil {
		return nil, 0, fmt.Errorf("open audio: %w", err)
	}
	data := io.NewSectionReader(f, place(s.Start), place(s.End)-place(s.Start))
	header := wavHeader(uint32(data.Size()))
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(header), data), f}, int64(len(header)) + data.Size(), nil
}

// saveWAV writes a span of the audio into dir as a WAV file and returns its path.
// The caller removes it.
func (a audio) saveWAV(dir string, s span) (string, error) {
	wav, _, err := a.wav(s.stretch)
	if err != nil {
		return "", err
	}
	defer wav.Close()
	path := filepath.Join(dir, fmt.Sprintf("span-%d.wav", s.ID))
	f, err := os.Create(path)
	if err != nil {
		return "", fmt.Errorf("create WAV file: %w", err)
	}
	_, err = io.Copy(f, wav)
	if err = errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("write WAV file: %w", err)
	}
	return path, nil
}
