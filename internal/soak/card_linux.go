package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// card is a memory card: a file system of its own that comes and goes.
type card struct {
	dir    string // where it is mounted
	image  string // its bytes
	device string // that it is in now
}

// newCard makes a card and mounts it. The caller calls remove.
func newCard(ctx context.Context, dir string, size int64) (*card, error) {
	c := &card{dir: filepath.Join(dir, "card"), image: filepath.Join(dir, "card.img")}
	if err := os.Mkdir(c.dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.Create(c.image)
	if err == nil {
		err = errors.Join(f.Truncate(size), f.Close())
	}
	if err != nil {
		return nil, err
	}
	if err := quietly(ctx, "mkfs.ext4", "-q", "-F", c.image); err != nil {
		return nil, &leftOut{fmt.Sprintf("no card can be made here: %v", err)}
	}
	if err := c.plugIn(ctx); err != nil {
		_ = c.remove() // it may not have got that far
		return nil, &leftOut{fmt.Sprintf("no card can be mounted here: %v", err)}
	}
	return c, nil
}

// plugIn mounts the card: in the device in which it still is, else in the next.
func (c *card) plugIn(ctx context.Context) (err error) {
	if c.device == "" {
		if c.device, err = output(ctx, "losetup", "--find", "--show", c.image); err != nil {
			return err
		}
	}
	if err := syscall.Mount(c.device, c.dir, "ext4", syscall.MS_NOATIME, ""); err != nil {
		return fmt.Errorf("mount %s at %s: %w", c.device, c.dir, err)
	}
	return nil
}

// pull unmounts the card. If it is in use it disappears from its folder all the
// same. If it is not, and elsewhere is true, it will be in another device next.
func (c *card) pull(ctx context.Context, elsewhere bool) (how string, err error) {
	err = syscall.Unmount(c.dir, 0)
	if errors.Is(err, syscall.EBUSY) {
		return "in use", syscall.Unmount(c.dir, syscall.MNT_DETACH)
	}
	if err != nil || !elsewhere || c.mounted() {
		return "unused", err
	}
	old := c.device
	if c.device, err = output(ctx, "losetup", "--find", "--show", c.image); err != nil {
		return "", err
	}
	return "unused, comes back in another device", quietly(ctx, "losetup", "--detach", old)
}

// mounted tells whether the file system is still there for files that are open.
func (c *card) mounted() bool {
	_, err := os.Stat(filepath.Join("/sys/fs/ext4", filepath.Base(c.device)))
	return err == nil
}

// remove unmounts the card for good, in the folder or not.
func (c *card) remove() error {
	err := syscall.Unmount(c.dir, syscall.MNT_DETACH)
	if errors.Is(err, syscall.EINVAL) { // it is not mounted
		err = nil
	}
	return errors.Join(err, quietly(context.Background(), "losetup", "--detach", c.device))
}
