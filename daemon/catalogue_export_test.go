package daemon

import "github.com/vidsync/vidsync/blockstore"

// CatalogueEntry is what the catalogue says of a video.
func CatalogueEntry(n *Node, ref string) (blockstore.Video, error) { return n.localVideo(ref) }
