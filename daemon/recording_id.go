package daemon

import (
	"crypto/rand"
	"slices"
	"strings"

	"github.com/vidsync/vidsync/blockstore"
)

// recordingIDLen is the length of a recording's identity. Several fit into the
// entry of a video.
const recordingIDLen = 12

func newRecordingID() string { return rand.Text()[:recordingIDLen] }

// recordingIDs are the identities in an entry. A video that several recordings
// have become has all of them.
func recordingIDs(text string) []string { return strings.Fields(text) }

// withRecording adds an identity to those of an entry. Of too many the oldest are
// left out.
func withRecording(text, id string) string {
	ids := recordingIDs(text)
	if id != "" && !slices.Contains(ids, id) {
		ids = append(ids, id)
	}
	for len(ids) > 1 && len(strings.Join(ids, " ")) > blockstore.MaxRecording {
		ids = ids[1:]
	}
	return strings.Join(ids, " ")
}
