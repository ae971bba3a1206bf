package watch

// Kind says what an Event tells.
type Kind string

// The kinds of events.
const (
	// Growing is a file that is being written; only if Config.Live. It is told
	// when the file is first seen and then at most once a second while it
	// changes. Finished or Gone follows.
	Growing Kind = "growing"
	// Finished is a file that is new or has changed, and is complete as far as
	// can be known. It can be changed again: then it is told again.
	Finished Kind = "finished"
	// Moved is a file that Known knows, or that was Growing, under another path,
	// From, where it is not any more. What was at Path before is replaced.
	Moved Kind = "moved"
	// Gone is a file that was Growing, Finished, Moved or known, and is not there
	// any more although its folder's file system is. It may have been Moved to
	// another Folder meanwhile: if Known has no file at Path, there is nothing to do.
	// What went away while Run was not running, or while the folder was
	// Unavailable, is not told.
	Gone Kind = "gone"
	// Unavailable tells that the folder itself is away, as when a card is taken
	// out; Reason says how that showed. Nothing is known of its files until
	// Available. It is also told when the folder is away at the start.
	Unavailable Kind = "unavailable"
	// Available tells that the folder is back, perhaps on another file system.
	Available Kind = "available"
)

// Event is one thing that happened.
type Event struct {
	Kind    Kind
	Path    string // absolute; of the folder for Unavailable and Available
	RelPath string // below Config.Dir; "." for the folder itself
	// From is the absolute path under which the file was told or known before
	// and is not any more: for Moved, and for Finished if it was Growing there.
	From string
	// Identity is that of the file at Path when it was last looked at.
	Identity Identity
	// Stable is the size in the Growing event before this one, a second ago or
	// more; 0 in the first. A recorder that appends has written what is before it.
	Stable int64
	Reason string // a few words for people: why it counts as that
}
