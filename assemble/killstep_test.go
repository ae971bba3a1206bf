package assemble_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vidsync/vidsync/assemble"
	"github.com/vidsync/vidsync/blockstore"
)

// killEnv names the work of a child, the step at which it kills itself, and the
// how manieth of these: "fetch/before write/2".
const killEnv = "VIDSYNC_TEST_KILL"

// fetchSteps are the steps of a fetch into a new folder, with which of them a
// child is killed at.
var fetchSteps = map[string][]int{
	"mkdir":          {1, 2},
	"create":         {1},
	"mark":           {1},
	"sync":           {1, 2, 3}, // the empty part file, the whole one, the one without a mark
	"put receipt":    {1},
	"allocate":       {1},
	"sync dir":       {1, 2, 3, 4, 5}, // above each new folder, of the part, of the final name, of the old name
	"write":          {1, 5},
	"flush":          {1},
	"commit receipt": {1},
	"rename":         {1},
	"unmark":         {1},
	"finish":         {1},
}

// copySteps are those of CopyIn.
var copySteps = map[string][]int{
	"mkdir":       {1},
	"create":      {1},
	"truncate":    {1},
	"write":       {1, 3},
	"sync":        {1},
	"put note":    {1},
	"rename":      {1},
	"sync dir":    {3}, // after those of new folders
	"commit copy": {1},
}

// unshared is a disk on which files cannot share their bytes.
type unshared struct{ assemble.Disk }

func (unshared) Share(*os.File, int64, *os.File, int64, int64) error { return syscall.ENOTSUP }

// eachStep runs test before and after every step.
func eachStep(t *testing.T, steps map[string][]int, test func(t *testing.T, point string)) {
	for step, times := range steps {
		for _, n := range times {
			for _, when := range []string{"before", "after"} {
				point := fmt.Sprintf("%s %s/%d", when, step, n)
				t.Run(strings.ReplaceAll(point, "/", " "), func(t *testing.T) { test(t, point) })
			}
		}
	}
}

// teller says every step on the standard output.
func teller() func(step string) error {
	return func(step string) error {
		_, err := os.Stdout.WriteString(step + "\n")
		return err
	}
}

// killer kills this process at the point that a test asked for.
func killer(point string) (func(step string) error, error) {
	want, times, _ := strings.Cut(point, "/")
	left, err := strconv.Atoi(times)
	if err != nil {
		return nil, err
	}
	turn := make(chan struct{}, 1) // one step at a time
	return func(step string) error {
		turn <- struct{}{}
		defer func() { <-turn }()
		if step != want {
			return nil
		}
		if left--; left == 0 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			time.Sleep(time.Minute)
		}
		return nil
	}, nil
}

// killChild does the work in dir that a test asked for and dies of it.
func killChild(dir, order string) error {
	if order == "handles" {
		return handlesChild(dir)
	}
	work, point, _ := strings.Cut(order, "/")
	at, err := teller(), error(nil)
	if point != "" {
		at, err = killer(point)
	}
	if err != nil {
		return err
	}
	step := &stepper{Disk: assemble.SystemDisk{}, at: at}
	if work == "copy" {
		return copyChild(dir, step)
	}
	if work == "recording" {
		return recordingChild(dir, step)
	}
	data, err := os.ReadFile(filepath.Join(dir, "v.mp4"))
	if err != nil {
		return err
	}
	s, err := newSample(data)
	if err != nil {
		return err
	}
	store, err := blockstore.Open(filepath.Join(dir, "index"), blockstore.Config{})
	if err != nil {
		return err
	}
	step.index = store
	r := &trial{s: s, rng: rand.New(rand.NewPCG(1, 1)), target: killTarget(dir)}
	return errors.Join(r.run(store, step.config(assemble.Config{ReceiptBytes: 1 << 20})), store.Close())
}

func copyChild(dir string, step *stepper) error {
	store, err := blockstore.Open(filepath.Join(dir, "index"), blockstore.Config{})
	if err != nil {
		return err
	}
	step.Disk, step.notes = unshared{step.Disk}, assemble.IndexOf(store)
	_, err = assemble.CopyInBy(context.Background(), store, step, step, filepath.Join(dir, "v.mp4"), filepath.Join(dir, "new", "folder"))
	return errors.Join(err, store.Close())
}

func killTarget(dir string) assemble.Target {
	return assemble.Target{Dir: filepath.Join(dir, "new", "folder"), Name: "v.mp4"}
}

// runToDeath has a child work on the tiny video in dir until the point.
func runToDeath(t *testing.T, dir, order string) {
	t.Helper()
	check(t, os.WriteFile(filepath.Join(dir, "v.mp4"), tiny().data, 0o644))
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir, killEnv+"="+order)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err := cmd.Run()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.Exited() {
		t.Fatalf("child was not killed: %v: %s", err, &stderr)
	}
}

// Killed before and after every step of a fetch: what receipts claim is right
// and not asked again, nothing unfinished has the final name, and the next run
// brings the video.
func TestKillAtEveryStep(t *testing.T) {
	t.Parallel()
	eachStep(t, fetchSteps, func(t *testing.T, point string) {
		t.Parallel()
		dir := t.TempDir()
		runToDeath(t, dir, "fetch/"+point)
		r := &trial{
			t: t, s: tiny(), rng: rand.New(rand.NewPCG(1, 2)),
			base: dir, index: filepath.Join(dir, "index"), target: killTarget(dir),
		}
		r.verify(false)
		store := openIndex(t, r.index)
		check(t, errors.Join(r.run(store, assemble.Config{}), store.Close()))
		r.verify(true)
	})
}

// Killed before and after every step of a copy: after the restart nobody knows
// of no file, nothing is left of unfinished ones, and the next copy is the only
// one.
func TestCopyInKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	eachStep(t, copySteps, func(t *testing.T, point string) {
		t.Parallel()
		dir := t.TempDir()
		runToDeath(t, dir, "copy/"+point)
		verifyCopy(t, filepath.Join(dir, "index"), filepath.Join(dir, "v.mp4"), filepath.Join(dir, "new", "folder"), point == "after commit copy/1")
	})
}

// verifyCopy looks at what a copy of the tiny video left that was interrupted,
// or outlived it, and copies again.
func verifyCopy(t *testing.T, index, src, folder string, finished bool) {
	t.Helper()
	store := openIndex(t, index)
	defer store.Close()
	_, err := assemble.SweepNoted(store)
	check(t, err)
	_, err = assemble.Sweep(folder)
	check(t, err)
	final := filepath.Join(folder, "v.mp4")
	if finished {
		wantNames(t, folder, "v.mp4")
		wantFile(t, final, tiny().data)
		wantRecorded(t, store, final, tiny())
	} else if left, err := os.ReadDir(folder); len(left) > 0 || err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("left behind: %v, %v", left, err)
	}
	path, v, err := assemble.CopyIn(t.Context(), store, src, folder, assemble.CopyConfig{})
	check(t, err)
	if path != final || v.CID != tiny().m.CID() {
		t.Fatalf("copied to %s as %s", path, v.CID)
	}
	wantNames(t, folder, "v.mp4")
	wantFile(t, final, tiny().data)
	wantRecorded(t, store, final, tiny())
	if n := assemble.Notes(store); n != 0 {
		t.Fatalf("%d notes are left", n)
	}
}
