package protocol

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/vidsync/vidsync/protocol/internal/wire"
)

// FuzzTranscriptAnswer: what is accepted is a few sidecars of known formats.
func FuzzTranscriptAnswer(f *testing.F) {
	for _, headers := range [][]*wire.SidecarHeader{
		{{Format: "srt", Size: 5}, {Format: "json"}}, {{Format: "txt", Size: 1 << 31}}, nil,
	} {
		f.Add(encoded(f, &wire.TranscriptAnswer{Status: wire.Status_STATUS_OK, Sidecars: headers}))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var m wire.TranscriptAnswer
		if proto.Unmarshal(data, &m) != nil || checkSidecars(m.Sidecars) != nil {
			return
		}
		if n := len(m.Sidecars); n == 0 || n > len(sidecarFormats) {
			t.Errorf("%d sidecars were accepted", n)
		}
		for _, s := range m.Sidecars {
			if s.Size > MaxSidecarBytes || !slices.Contains(sidecarFormats, s.Format) {
				t.Errorf("%v was accepted", s)
			}
		}
	})
}
