package daemon

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"

	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/watch"
)

const (
	// maxRecordings is how many files are offered at once while they grow. Those
	// beyond are added when they are finished.
	maxRecordings = 64
	// stateRecording is the kind of the records of recordings that are not
	// finished; the key is the path.
	stateRecording = "recording"
	// recordingsCheck is how often files are looked for whose end was missed.
	recordingsCheck = time.Minute
)

// recordings are the files that grow in folders that are watched live.
type recordings struct {
	store *blockstore.Store
	log   *slog.Logger
	fresh chan struct{} // holds one: a recording is to be started
	// present tells whether a file that is not there is gone, since its folder is
	// there, and whether the file is watched at all.
	present func(path string) (present, watched bool)

	mu       sync.Mutex
	active   map[string]*recording // by path
	versions map[cid.Cid]*version
}

// recordingRecord is what is stored of a recording, so that it keeps its
// identity over restarts.
type recordingRecord struct {
	ID       string    `json:"id"`
	Device   uint64    `json:"device"`
	Inode    uint64    `json:"inode"`
	Relative string    `json:"relative"`
	Added    time.Time `json:"added"`
	// Video is the version in the catalogue, or Next, if its entry is there.
	Video string `json:"video,omitempty"`
	Next  string `json:"next,omitempty"`
}

func newRecordings(store *blockstore.Store, log *slog.Logger, present func(path string) (present, watched bool)) *recordings {
	return &recordings{
		store: store, log: log, fresh: make(chan struct{}, 1), present: present,
		active: map[string]*recording{}, versions: map[cid.Cid]*version{},
	}
}

// run offers what grows until ctx ends.
func (l *recordings) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	tick := time.NewTicker(recordingsCheck)
	defer tick.Stop()
	var gone map[string]bool
	for {
		for r, own := range l.unstarted(ctx) {
			g.Go(func() error {
				r.run(own, l.publish, l.tell)
				return nil
			})
		}
		select {
		case <-l.fresh:
		case <-tick.C:
			var err error
			if gone, err = l.endVanished(ctx, gone); err != nil && ctx.Err() == nil {
				l.log.Error("look for vanished recordings", "error", err)
			}
		case <-ctx.Done():
			return g.Wait()
		}
	}
}

// unstarted are the recordings that run has not started, and starts now, with
// their contexts.
func (l *recordings) unstarted(ctx context.Context) map[*recording]context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := map[*recording]context.Context{}
	for _, r := range l.active {
		if !r.started && !r.stopped {
			r.started = true
			found[r], r.cancel = context.WithCancel(ctx)
		}
	}
	return found
}

func (l *recordings) tell(r *recording, err error) {
	path, _ := r.where()
	if err != nil {
		l.log.Warn("recording is not offered on", "path", path, "reason", err)
		return
	}
	l.log.Info("recording is offered again", "path", path)
}

// begin offers a file that grows from now on.
func (l *recordings) begin(path, relative string, id watch.Identity) error {
	if err := l.findMoved(path, relative, id); err != nil {
		return err
	}
	known, same, full := l.goOn(path, id)
	if same || !known && full {
		return nil
	}
	if known { // a camera that begins anew under the same name
		if err := l.lost(path); err != nil {
			return err
		}
	}
	rec, err := l.recordFor(path, relative, id)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.active[path] = &recording{id: rec.ID, inode: id, added: rec.Added, done: make(chan struct{}), path: path, relative: relative}
	l.mu.Unlock()
	notify(l.fresh)
	l.log.Info("recording is offered while it grows", "path", path, "recording", rec.ID)
	return nil
}

// goOn tells whether there is a recording at path, and whether it is of that
// file. Then it goes on if it was stopped. full tells that there is no room for
// another.
func (l *recordings) goOn(path string, id watch.Identity) (known, same, full bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.active[path]
	same = r != nil && r.adopt(id)
	if same && r.stopped {
		l.restart(r)
	}
	return r != nil, same, len(l.active) >= maxRecordings
}

// restart has a recording go on that was stopped. The caller holds mu.
func (l *recordings) restart(r *recording) {
	r.stopped, r.started, r.done = false, false, make(chan struct{})
	notify(l.fresh)
}

// recordFor is the record of a file that grows: the one that an earlier process
// left, or a new one.
func (l *recordings) recordFor(path, relative string, id watch.Identity) (recordingRecord, error) {
	old, err := l.record(path)
	if known, err := found(old, err); err != nil {
		return old, err
	} else if known && isSameFile(watch.Identity{Device: old.Device, Inode: old.Inode}, id, l.offered(old)) {
		old.Device, old.Relative = id.Device, relative // device numbers change when a card is put in again
		return old, l.save(path, old)
	} else if known {
		if err := l.lost(path); err != nil {
			return old, err
		}
	}
	fresh := recordingRecord{ID: newRecordingID(), Device: id.Device, Inode: id.Inode, Relative: relative, Added: time.Now().UTC()}
	return fresh, l.save(path, fresh)
}

// offered is how much of a recording is in the catalogue.
func (l *recordings) offered(rec recordingRecord) int64 {
	v, err := l.listed(rec)
	if err != nil {
		return 0 // publish will say so
	}
	return v.Size
}

// record is what is stored of a recording; fs.ErrNotExist if there is nothing.
func (l *recordings) record(path string) (r recordingRecord, err error) {
	data, err := l.store.State(stateRecording, path)
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	return r, err
}

func (l *recordings) save(path string, r recordingRecord) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return l.store.PutState(stateRecording, path, data)
}

// publish puts a version of what is hashed into the catalogue, in place of the
// one before. One that is shorter than that was by an earlier process is not: the
// file is still being read again.
func (l *recordings) publish(r *recording) error {
	path, relative := r.where()
	rec, err := l.record(path)
	if err != nil {
		return err
	}
	old, err := l.listed(rec)
	if err != nil {
		return err
	}
	if old.CID.Defined() && len(r.versions) == 0 && r.settled() < min(old.Size, r.size) {
		return nil
	}
	v, err := r.listBlocks()
	if v == nil || err != nil {
		return err
	}
	if here, err := l.isWhole(v.video); err != nil || here {
		return err // whoever follows has the whole video's entry
	}
	rec.Video, rec.Next = cidText(old.CID), v.video.String()
	if err := l.save(path, rec); err != nil {
		return err
	}
	err = l.store.ReplaceVideo(old.CID, blockstore.Video{
		CID: v.video, Name: filepath.Base(path), MediaType: mediaType(path), Size: v.size, Added: r.added,
		State: videoLive, RelPath: filepath.ToSlash(relative), Recording: r.id,
	})
	if err == nil {
		l.serve(r, v)
	}
	return err
}

// isWhole tells whether a version is a video of the catalogue in its own right.
func (l *recordings) isWhole(video cid.Cid) (bool, error) {
	v, err := l.store.Video(video)
	known, err := found(v, err)
	return known && v.State == videoWhole, err
}

func cidText(c cid.Cid) string {
	if !c.Defined() {
		return ""
	}
	return c.String()
}

// listed is the catalogue's entry of a recording that is not finished; the zero
// Video if there is none.
func (l *recordings) listed(rec recordingRecord) (blockstore.Video, error) {
	for _, text := range []string{rec.Next, rec.Video} {
		c, err := cid.Decode(cmp.Or(text, "-"))
		if err != nil {
			continue
		}
		v, err := l.store.Video(c)
		if known, err := found(v, err); err != nil {
			return v, err
		} else if known && v.Recording == rec.ID && v.State != videoWhole {
			return v, nil
		}
	}
	return blockstore.Video{}, nil
}

// serve makes a version servable, and the oldest one no more.
func (l *recordings) serve(r *recording, v *version) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	l.versions[v.video] = v
	r.versions = append(r.versions, v)
	if n := len(r.versions) - versionManifests; n > 0 {
		r.versions[n-1].manifest = nil
	}
	if len(r.versions) > maxVersions {
		delete(l.versions, r.versions[0].video)
		r.versions = r.versions[1:]
	}
}

// version is a version of a recording that is served; nil if the video is none.
func (l *recordings) version(video cid.Cid) *version {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.versions[video]
}

// stop looks no more whether a file has grown, and returns its recording; nil if
// there is none. What was offered is served on.
func (l *recordings) stop(path string) *recording {
	l.mu.Lock()
	r := l.active[path]
	if r == nil {
		l.mu.Unlock()
		return nil
	}
	r.stopped = true
	started, cancel, done := r.started, r.cancel, r.done
	l.mu.Unlock()
	if started {
		cancel()
		<-done
	}
	return r
}

// drop serves a recording no more.
func (l *recordings) drop(path string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.active[path]
	if r == nil {
		return
	}
	delete(l.active, path)
	for _, v := range r.versions {
		if l.versions[v.video] == v {
			delete(l.versions, v.video)
		}
	}
}
