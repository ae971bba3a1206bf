package protocol

import (
	"fmt"
	"slices"

	"github.com/vidsync/vidsync/protocol/internal/wire"
)

// MaxSidecarBytes is the longest sidecar of a transcript.
const MaxSidecarBytes = 16 << 20

// Sidecar is one file of a transcript.
type Sidecar struct {
	Format string // srt, vtt, txt or json
	Data   []byte // at most MaxSidecarBytes
}

// sidecarFormats are all that there are. A transcript has each once at most.
var sidecarFormats = []string{"srt", "vtt", "txt", "json"}

// checkSidecars tells why headers cannot be those of a transcript.
func checkSidecars(headers []*wire.SidecarHeader) error {
	seen := make(map[string]bool, len(sidecarFormats))
	for _, h := range headers {
		if !slices.Contains(sidecarFormats, h.Format) || seen[h.Format] {
			return fmt.Errorf("sidecar of format %q, or two of them", h.Format)
		}
		if h.Size > MaxSidecarBytes {
			return fmt.Errorf("sidecar of %d bytes", h.Size)
		}
		seen[h.Format] = true
	}
	if len(headers) == 0 {
		return fmt.Errorf("transcript without sidecars")
	}
	return nil
}
