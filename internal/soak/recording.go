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

	// Recordings that are larger than a block, so that they are offered while they
	// grow.
	leastLong, mostLong         = 70 << 20, 150 << 20
	leastLongRate, mostLongRate = 10 << 20, 30 << 20 // bytes a second
	mostHead                    = 1 << 20            // that is rewritten at the end

	recordedIn = 0.85 // share of the time in which things are broken
)

// A recording is a file that the recorder is to make.
type recording struct {
	rel       string // below the card, slash-separated
	stream    uint64 // its content
	size      int64
	temporary bool          // it bears its final name only once it is whole
	live      bool          // it is in the folder that is watched live
	head      int64         // so many bytes are other ones until the end
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
// is as large as any may be. Half of them are in the folder that is watched live,
// and of those every third is long.
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
		rec.live = rng.IntN(2) == 0
		long := rec.live && rng.IntN(3) == 0 && most >= leastLong
		if long {
			rec.size = leastLong + rng.Int64N(min(mostLong, largest)-leastLong+1)
		}
		if i > 0 && rng.IntN(10) == 0 {
			twin := all[rng.IntN(i)]
			rec.stream, rec.size = twin.stream, twin.size
		}
		if long && rng.IntN(2) == 0 {
			rec.head = 1 + rng.Int64N(min(mostHead, rec.size))
		}
		if rec.size >= leastLong {
			rate := leastLongRate + rng.Int64N(mostLongRate-leastLongRate)
			rec.took = time.Duration(rec.size * int64(time.Second) / rate)
			all = append(all, rec)
			continue
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

// The folders of the card that are watched.
const (
	liveFolder  = "live"
	otherFolder = "other"
)

// on is where it is recorded on the card.
func (r recording) on(card string) string {
	if r.live {
		return r.in(filepath.Join(card, liveFolder))
	}
	return r.in(filepath.Join(card, otherFolder))
}

// at is where it is until it is whole. What has the suffix .part is never looked
// at.
func (r recording) at(card string) string {
	switch {
	case r.temporary && r.live:
		dir, name := filepath.Split(r.on(card))
		return filepath.Join(dir, "recording "+name)
	case r.temporary:
		return r.on(card) + ".part"
	}
	return r.on(card)
}
