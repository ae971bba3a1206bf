package daemon

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/protocol"
)

// offer is the catalogue that trusted peers may follow: the videos that are whole,
// those that are being recorded, and what was removed. It implements
// protocol.Catalogue.
type offer struct{ store *blockstore.Store }

// Log names the catalogue's log.
func (o offer) Log() [16]byte { return o.store.CatalogueID() }

// Entries returns what comes after a number.
func (o offer) Entries(ctx context.Context, after uint64, limit int) ([]protocol.Entry, <-chan struct{}, error) {
	changed := o.store.Changed() // first, so that no change is missed
	var entries []protocol.Entry
	for e, err := range o.store.LogSince(after) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, nil, err
		}
		if !e.Removed && !isOffered(e.Video.State) {
			continue
		}
		entries = append(entries, offered(e))
		if len(entries) == limit {
			break
		}
	}
	return entries, changed, nil
}

// isOffered tells whether peers hear of a video in that state.
func isOffered(state string) bool {
	return state == videoWhole || state == videoLive || state == videoEnded
}

// offered is an entry of the log as peers see it. Texts that the protocol has no
// room for are cut or left out: the video counts, and its name is a hint.
func offered(e blockstore.LogEntry) protocol.Entry {
	v := e.Video
	if e.Removed {
		return protocol.Entry{Seq: v.Seq, Video: v.CID, Removed: true, Recording: v.Recording}
	}
	out := protocol.Entry{
		Seq: v.Seq, Video: v.CID, Recording: v.Recording, Name: firstBytes(v.Name, protocol.MaxNameBytes),
		State: v.State, Size: v.Size, Added: v.Added,
	}
	if len(v.RelPath) <= protocol.MaxRelPathBytes && utf8.ValidString(v.RelPath) {
		out.RelPath = v.RelPath
	}
	if len(v.MediaType) <= protocol.MaxMediaTypeBytes {
		out.MediaType = v.MediaType
	}
	return out
}

// firstBytes is valid UTF-8 made of a text, of at most limit bytes.
func firstBytes(text string, limit int) string {
	text = strings.ToValidUTF8(text, "_")
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}
