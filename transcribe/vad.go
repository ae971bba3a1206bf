package transcribe

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// Voice activity by loudness: a frame is speech when it is clearly louder than the
// quiet frames around it.
const (
	frameLength  = Offset(10)              // milliseconds
	frameSamples = sampleRate / 100        // samples in a frame
	floorWindow  = 3000                    // frames over which the quiet level is taken: 30 s
	floorShare   = 10                      // the quiet level is below all but this percentage
	quietest     = level(-700)             // no floor lies below it: -70 dB
	loudest      = level(-350)             // nor above it: what is louder than -26 dB is always worth a try
	aboveFloor   = level(90)               // speech is 9 dB above the floor
	hangFrames   = 45                      // pauses up to 450 ms belong to the speech
	clickFrames  = 5                       // anything shorter than 50 ms is a click
	padFrames    = 30                      // 300 ms before and after
	longestRun   = 2000                    // longer speech is cut: 20 s
	shortestCut  = 1000                    // and not before 10 s
	bytesPerRead = 1600 * 2 * frameSamples // read buffer: 16 s of audio
)

// level is a loudness in tenths of a decibel, 0 being full scale.
type level int16

// frameRun is a range of frames, the end excluded.
type frameRun struct{ start, end int }

// findSpeech reads 16 kHz mono s16le audio and returns the stretches that have
// speech in them, in order, none longer than 20 s.
func findSpeech(audio io.Reader) ([]stretch, error) {
	levels, err := loudness(audio)
	if err != nil {
		return nil, err
	}
	var speech []stretch
	for _, r := range pad(loudRuns(levels), len(levels)) {
		for _, part := range cut(r, levels) {
			speech = append(speech, stretch{Offset(part.start) * frameLength, Offset(part.end) * frameLength})
		}
	}
	return speech, nil
}

// loudness measures every whole frame.
func loudness(audio io.Reader) ([]level, error) {
	in := bufio.NewReaderSize(audio, bytesPerRead)
	var levels []level
	var frame [2 * frameSamples]byte
	for {
		_, err := io.ReadFull(in, frame[:])
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return levels, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read audio: %w", err)
		}
		levels = append(levels, measure(frame[:]))
	}
}

// measure is the power of one frame without its constant part: a recorder's offset
// is no sound.
func measure(frame []byte) level {
	var sum, squares float64
	for i := 0; i < len(frame); i += 2 {
		v := float64(int16(binary.LittleEndian.Uint16(frame[i:])))
		sum += v
		squares += v * v
	}
	n := float64(len(frame) / 2)
	power := (squares/n - sum/n*sum/n) / (1 << 30)
	return level(max(-2000, math.Round(100*math.Log10(max(power, 1e-20)))))
}

// loudRuns finds the runs of frames above the floor, joined over short pauses,
// without clicks.
func loudRuns(levels []level) []frameRun {
	var runs []frameRun
	for start := 0; start < len(levels); start += floorWindow {
		end := min(start+floorWindow, len(levels))
		threshold := floor(levels[max(0, end-floorWindow):end]) + aboveFloor
		for i := start; i < end; i++ {
			if levels[i] <= threshold {
				continue
			}
			if n := len(runs); n > 0 && i-runs[n-1].end <= hangFrames {
				runs[n-1].end = i + 1
			} else {
				runs = append(runs, frameRun{i, i + 1})
			}
		}
	}
	return slices.DeleteFunc(runs, func(r frameRun) bool { return r.end-r.start < clickFrames })
}

// floor is the level that floorShare percent of the frames do not reach.
func floor(window []level) level {
	sorted := slices.Sorted(slices.Values(window))
	return min(max(quietest, sorted[len(sorted)*floorShare/100]), loudest)
}

// pad widens the runs and joins those that then touch.
func pad(runs []frameRun, frames int) []frameRun {
	var padded []frameRun
	for _, r := range runs {
		r = frameRun{max(0, r.start-padFrames), min(frames, r.end+padFrames)}
		if n := len(padded); n > 0 && r.start <= padded[n-1].end {
			padded[n-1].end = r.end
			continue
		}
		padded = append(padded, r)
	}
	return padded
}

// cut splits a run that is too long at its quietest frames.
func cut(r frameRun, levels []level) []frameRun {
	var parts []frameRun
	for r.end-r.start > longestRun {
		at := quietestFrame(levels, r.start+shortestCut, r.start+longestRun)
		parts = append(parts, frameRun{r.start, at})
		r.start = at
	}
	return append(parts, r)
}

// quietestFrame finds the middle of the quietest 50 ms between two frames.
func quietestFrame(levels []level, from, to int) int {
	best, at := math.MaxInt, from
	for i := from; i < to; i++ {
		sum := 0
		for _, l := range levels[i-2 : min(i+3, len(levels))] {
			sum += int(l)
		}
		if sum < best {
			best, at = sum, i
		}
	}
	return at
}
