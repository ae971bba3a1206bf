package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

const (
	// maxDamagedFiles and maxDamagedPieces (of one file) bound what is
	// remembered. What is beyond is found again: where there is any damage,
	// every piece is checked before it is served.
	maxDamagedFiles  = 100
	maxDamagedPieces = 16
)

// damagedFile is a file that looks as it did when it was added, but some of
// whose bytes are others.
type damagedFile struct {
	Path   string           `json:"path"`
	Stamp  blockstore.Stamp `json:"stamp"`
	Pieces []damagedPiece   `json:"pieces"`
}

type damagedPiece struct {
	Block  string `json:"block"` // hash
	Piece  int    `json:"piece"`
	Offset int64  `json:"offset"` // in the file
	Length int64  `json:"length"`
	Reason string `json:"reason"`
}

// damageList remembers damaged files, in a file of its own.
type damageList struct {
	path string

	mu    sync.Mutex
	files []damagedFile
}

// openDamageList reads the list. One that cannot be read counts as empty: what
// is damaged is found again.
func openDamageList(path string, log *slog.Logger) *damageList {
	d := &damageList{path: path}
	data, err := readSmallFile(path)
	if err == nil {
		err = json.Unmarshal(data, &d.files)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("list of damaged files cannot be read and begins anew", "path", path, "error", err)
		d.files = nil
	}
	return d
}

// mark remembers a damaged piece of a file, and tells whether it is news.
func (d *damageList) mark(path string, stamp blockstore.Stamp, p damagedPiece) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	files := slices.Clone(d.files)
	i := slices.IndexFunc(files, func(f damagedFile) bool { return f.Path == path })
	if i >= 0 && files[i].Stamp != stamp {
		files, i = slices.Delete(files, i, i+1), -1
	}
	if i < 0 {
		if len(files) >= maxDamagedFiles {
			return false, nil
		}
		i, files = len(files), append(files, damagedFile{Path: path, Stamp: stamp})
	}
	f := &files[i]
	known := slices.ContainsFunc(f.Pieces, func(old damagedPiece) bool { return old.Offset == p.Offset })
	if known || len(f.Pieces) >= maxDamagedPieces {
		return false, nil
	}
	f.Pieces = append(slices.Clip(f.Pieces), p)
	return true, d.save(files)
}

// heal forgets the damage of a file that was read and found right.
func (d *damageList) heal(path string) error {
	return d.drop(func(f damagedFile) bool { return f.Path == path })
}

// moved has the damage of a file follow it to another path.
func (d *damageList) moved(from, to string, stamp blockstore.Stamp) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	files := slices.Clone(d.files)
	i := slices.IndexFunc(files, func(f damagedFile) bool { return f.Path == from })
	if i < 0 {
		return nil
	}
	files[i].Path, files[i].Stamp = to, stamp
	return d.save(files)
}

// refresh forgets files that are not what they were when damage was found: they
// were repaired, replaced or deleted, and their stamp speaks for itself.
func (d *damageList) refresh() error {
	return d.drop(func(f damagedFile) bool {
		info, err := os.Stat(f.Path)
		return err != nil || blockstore.StampOf(info) != f.Stamp
	})
}

func (d *damageList) drop(healed func(damagedFile) bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	files := slices.DeleteFunc(slices.Clone(d.files), healed)
	if len(files) == len(d.files) {
		return nil
	}
	return d.save(files)
}

// any tells whether damage is known of any file.
func (d *damageList) any() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.files) > 0
}

// of lists what is damaged of a file.
func (d *damageList) of(path string, stamp blockstore.Stamp) []damagedPiece {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.files {
		if f.Path == path && f.Stamp == stamp {
			return f.Pieces
		}
	}
	return nil
}

// places counts, for every damaged piece, the files in which it is.
func (d *damageList) places() map[damagedPlace]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	count := map[damagedPlace]int{}
	for _, f := range d.files {
		for _, p := range f.Pieces {
			count[damagedPlace{p.Block, p.Piece}]++
		}
	}
	return count
}

// damagedPlace names a piece by its block, wherever that lies.
type damagedPlace struct {
	block string // hash
	piece int
}

// save takes the list over and writes it. The caller holds mu.
func (d *damageList) save(files []damagedFile) error {
	d.files = files
	data, err := json.Marshal(files)
	if err == nil {
		err = writeSmallFile(d.path, data)
	}
	if err != nil {
		return fmt.Errorf("write list of damaged files: %w", err)
	}
	return nil
}

// listedDamage is what is damaged of a file, for the user.
func listedDamage(path string, pieces []damagedPiece) []api.Damage {
	var out []api.Damage
	for _, p := range pieces {
		out = append(out, api.Damage{
			Path: path, Block: int(p.Offset / manifest.BlockSize), Piece: p.Piece,
			Offset: p.Offset, Length: p.Length, Reason: p.Reason,
		})
	}
	return out
}
