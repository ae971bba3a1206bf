package transcribe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

// sound is s16le audio of a length with bursts of a tone in steady noise.
func sound(seconds, noise, tone float64, bursts ...[2]float64) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, 0, int(seconds*bytesPerSecond))
	for i := range int(seconds * sampleRate) {
		at := float64(i) / sampleRate
		v := noise * random.NormFloat64()
		for _, b := range bursts {
			if at >= b[0] && at < b[1] {
				v += tone * math.Sin(2*math.Pi*300*at)
			}
		}
		data = binary.LittleEndian.AppendUint16(data, uint16(int16(v)))
	}
	return data
}

func TestFindSpeech(t *testing.T) {
	tests := []struct {
		name  string
		audio []byte
		want  [][2]float64 // without the 300 ms before and after
	}{
		{"nothing", nil, nil},
		{"less than a frame", make([]byte, 100), nil},
		{"digital silence", make([]byte, 10*bytesPerSecond), nil},
		{"noise alone", sound(10, 300, 0), nil},
		{"two bursts", sound(20, 30, 3000, [2]float64{3, 5}, [2]float64{10, 12}), [][2]float64{{3, 5}, {10, 12}}},
		{"louder noise", sound(20, 300, 3000, [2]float64{3, 5}, [2]float64{10, 12}), [][2]float64{{3, 5}, {10, 12}}},
		{"a short pause", sound(20, 30, 3000, [2]float64{3, 5}, [2]float64{5.4, 7}), [][2]float64{{3, 7}}},
		{"a click", sound(20, 30, 3000, [2]float64{3, 3.02}), nil},
		{"at both ends", sound(10, 30, 3000, [2]float64{0, 1}, [2]float64{9, 10}), [][2]float64{{0.3, 1}, {9, 9.7}}},
		{"quiet recording far in", append(sound(60, 30, 3000, [2]float64{10, 12}), sound(60, 3, 300, [2]float64{10, 12})...),
			[][2]float64{{10, 12}, {70, 72}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := findSpeech(bytes.NewReader(test.audio))
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(test.want) {
				t.Fatalf("speech at %v, want %v", got, test.want)
			}
			for i, s := range got {
				start, end := test.want[i][0]-0.3, test.want[i][1]+0.3
				if math.Abs(s.Start.Duration().Seconds()-start) > 0.03 || math.Abs(s.End.Duration().Seconds()-end) > 0.03 {
					t.Errorf("speech at %v, want %.2f-%.2f", s, start, end)
				}
			}
		})
	}
}

// TestLongSpeechIsCut cuts speech without a pause where it is quietest.
func TestLongSpeechIsCut(t *testing.T) {
	audio := sound(60, 30, 3000, [2]float64{2, 15}, [2]float64{15.2, 50})
	got, err := findSpeech(bytes.NewReader(audio))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) < 3 {
		t.Fatalf("speech at %v", got)
	}
	if at := got[0].End.Duration().Seconds(); at < 15 || at > 15.2 {
		t.Errorf("cut at %.2f s, want in the pause at 15.1", at)
	}
	for i, s := range got {
		if s.length() > longestRun*frameLength || s.length() <= 0 {
			t.Errorf("stretch %v", s)
		}
		if i > 0 && s.Start < got[i-1].End {
			t.Errorf("stretch %v begins before the last ended", s)
		}
	}
}

func TestFindSpeechReadError(t *testing.T) {
	broken := errors.New("broken")
	if _, err := findSpeech(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

func TestGroup(t *testing.T) {
	speech := []stretch{{0, 10_000}, {11_000, 20_000}, {20_500, 40_000}, {60_000, 61_000}, {61_500, 62_000}}
	tests := []struct {
		name    string
		longest Offset
		want    []int // parts in each span
	}{
		{"each alone", 0, []int{1, 1, 1, 1, 1}},
		{"up to half a minute", 30_000, []int{2, 1, 2}},
		{"never over a long pause", 300_000, []int{3, 2}},
	}
	for _, test := range tests {
		spans := group(speech, test.longest)
		if len(spans) != len(test.want) {
			t.Errorf("%s: %v", test.name, spans)
			continue
		}
		for i, s := range spans {
			last := s.Parts[len(s.Parts)-1]
			if s.ID != i || len(s.Parts) != test.want[i] || s.Start != s.Parts[0].Start || s.End != last.End {
				t.Errorf("%s: span %d is %+v", test.name, i, s)
			}
		}
	}
}
