package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path"
	"path/filepath"
	"time"
)

const (
	leastRecording   = 1 << 10
	mostRecording    = 140 << 20 // unless -largest is less
	longestRecording = 8 * time.Second

	recordedIn = 0.85 // share of the time in which things are broken
)

// A recording is a file that the recorder is to make.
type recording struct {
	rel       string // below the card, slash-separated
	stream    uint64 // its content
	size      int64
	temporary bool          // it bears its final name only once it is whole
	start     time.Duration // from the beginning
	took      time.Duration // from its first byte to its last
}

// names are such as cameras and people give: %d is a number.
var recordingNames = []string{
	"GX%06d.MP4", "clip %d.mov", "Aufführung – Teil %d.mp4", "舞台 %d.mkv", "mix.%d.final.wav", "it's #%d, 100%% (take 2).mp4", "señal %d.m4a",
}

var recordingFolders = []string{"", "", "DCIM/100GOPRO", "Tag 1/Bühne ‹B›", "a/b c/d"}

// drawRecordings makes up what is recorded in that time: sizes of all orders of
// magnitude, and of ten files one that has the bytes of an earlier one. The first
// is as large as any may be.
func drawRecordings(rng *rand.Rand, files int, largest int64, within time.Duration) []recording {
	most := min(mostRecording, largest)
	first := rng.Uint64() | 1
	var all []recording
	for i := range files {
		rec := recording{
			rel:    path.Join(pick(rng, recordingFolders...), fmt.Sprintf(pick(rng, recordingNames...), i+1)),
			stream: first + uint64(i), temporary: rng.IntN(4) == 0,
			start: time.Duration(float64(within) * recordedIn * (float64(i) + rng.Float64()) / float64(files)),
		}
		rec.size = int64(leastRecording * math.Pow(float64(most)/leastRecording, rng.Float64()))
		if i == 0 {
			rec.size = most
		}
		if i > 0 && rng.IntN(10) == 0 {
			twin := all[rng.IntN(i)]
			rec.stream, rec.size = twin.stream, twin.size
		}
		rec.took = min(longestRecording, time.Duration(rng.Int64N(int64(time.Second)))+time.Duration(rec.size)*time.Second/(16<<20))
		all = append(all, rec)
	}
	return all
}

// byContent puts recordings with the same bytes together.
func byContent(all []recording) map[uint64][]recording {
	contents := map[uint64][]recording{}
	for _, r := range all {
		contents[r.stream] = append(contents[r.stream], r)
	}
	return contents
}

func (r recording) in(folder string) string { return filepath.Join(folder, filepath.FromSlash(r.rel)) }
