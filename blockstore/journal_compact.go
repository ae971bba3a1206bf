package blockstore

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// compact writes the journal anew, without what does not count any more, if it
// has grown to twice what it was after the last time.
func (j *journal) compact() error {
	if j == nil || j.size <= 2*j.live+journalSlack {
		return nil
	}
	damaged := 0
	err := j.rewrite(func(add func(line []byte) error) error {
		for line, err := range liveLines(j.file) {
			if err != nil && line.number == 0 {
				return err
			}
			if err != nil {
				damaged++
				continue
			}
			if err := add(append(line.text, '\n')); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("compact journal: %w", err)
	}
	if damaged > 0 {
		j.log.Warn("journal had damaged lines", "path", j.path, "lines", damaged)
	}
	return nil
}

// rewrite makes a new file of the lines that fill adds, and puts it in the
// place of the old one. On failure the old one stays in use.
func (j *journal) rewrite(fill func(add func(line []byte) error) error) error {
	temp := j.path + ".new"
	f, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = errors.Join(fillJournal(f, fill), f.Close())
	if err == nil {
		err = os.Rename(temp, j.path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(j.path))
	}
	if err != nil {
		return err
	}
	return j.reopen()
}

func fillJournal(f *os.File, fill func(add func(line []byte) error) error) error {
	head, err := headLine(0)
	if err != nil {
		return err
	}
	size := int64(len(head))
	out := bufio.NewWriterSize(f, 64<<10)
	add := func(line []byte) error {
		size += int64(len(line))
		_, err := out.Write(line)
		return err
	}
	if _, err := out.Write(head); err != nil {
		return err
	}
	if err := fill(add); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if head, err = headLine(size); err != nil {
		return err
	}
	if _, err := f.WriteAt(head, 0); err != nil {
		return err
	}
	return f.Sync()
}

// headLine has one length whatever the size is.
func headLine(live int64) ([]byte, error) {
	return appendFact(nil, fact{Journal: &journalHead{Version: journalVersion, Live: fmt.Sprintf("%020d", live)}})
}

// syncDir brings the names in a folder to stable storage.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
