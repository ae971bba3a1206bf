package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/vidsync/vidsync/api"
)

const (
	dropSize  = 8 * mib
	dropCount = 5

	liveRate    = 16 * mib // bytes a second
	liveFor     = 30 * time.Second
	liveWarmUp  = 10 * time.Second // from here on it counts how much is there
	liveWrites  = 16               // a second
	livePause   = time.Second / liveWrites
	edgeWait    = 2 * time.Minute
	edgePoll    = 5 * time.Millisecond
	liveLook    = 100 * time.Millisecond
	quietSecond = time.Second // after closing, before a file counts as finished
)

// edge is a camera's folder that one node watches live, and a server that
// follows that node.
type edge struct {
	source, server *node
	camera, into   string
	removeFolders  func()
}

func (b *bench) startEdge(ctx context.Context) (e *edge, err error) {
	dir, remove, err := b.scratch("edge")
	if err != nil {
		return nil, err
	}
	e = &edge{camera: filepath.Join(dir, "camera"), into: filepath.Join(dir, "in"), removeFolders: remove}
	defer func() {
		if err != nil {
			e.remove()
		}
	}()
	if err := os.Mkdir(e.camera, 0o755); err != nil {
		return e, err
	}
	if e.source, err = b.startNode(ctx, "edge", loopback); err != nil {
		return e, err
	}
	if e.server, err = b.startNode(ctx, "server", loopback); err != nil {
		return e, err
	}
	if _, err = e.source.API.AddPeer(ctx, api.AddPeerRequest{Addr: e.server.Addr}); err != nil {
		return e, err
	}
	if _, err = e.server.API.AddPeer(ctx, api.AddPeerRequest{Addr: e.source.Addr}); err != nil {
		return e, err
	}
	live := true
	if _, err = e.source.API.AddWatch(ctx, api.AddWatchRequest{Dir: e.camera, Live: &live}); err != nil {
		return e, err
	}
	_, err = e.server.API.Follow(ctx, api.FollowRequest{Peer: e.source.ID, Into: e.into})
	return e, err
}

func (e *edge) remove() {
	for _, n := range []*node{e.source, e.server} {
		if n != nil {
			n.remove()
		}
	}
	e.removeFolders()
}

// runDrop drops files into the folder, one after another.
func runDrop(ctx context.Context, b *bench) ([]figure, error) {
	e, err := b.startEdge(ctx)
	if err != nil {
		return nil, err
	}
	defer e.remove()
	var moving, whole []float64
	for i := range dropCount {
		name := fmt.Sprintf("drop-%d.mp4", i)
		if err := writeRandom(filepath.Join(e.camera, name), dropSize+int64(i)); err != nil {
			return nil, err
		}
		settled := time.Now().Add(quietSecond)
		there := filepath.Join(e.into, name)
		if err := await(ctx, "the beginning of "+name, func() bool { return exists(there+".part") || exists(there) }); err != nil {
			return nil, err
		}
		moving = append(moving, milliseconds(time.Since(settled)))
		if err := await(ctx, name, func() bool { return exists(there) }); err != nil {
			return nil, err
		}
		whole = append(whole, milliseconds(time.Since(settled)))
	}
	return known(
		figure{"settled (a second after it was closed) until it moves", "ms", median(moving)},
		figure{"settled until 8 MiB are whole at the server", "ms", median(whole)},
	), nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// await asks again and again until the answer is yes.
func await(ctx context.Context, what string, ask func() bool) error {
	for end := time.Now().Add(edgeWait); !ask(); {
		if time.Now().After(end) {
			return fmt.Errorf("%s did not come within %v", what, edgeWait)
		}
		if err := sleepUntil(ctx, time.Now().Add(edgePoll)); err != nil {
			return err
		}
	}
	return nil
}

// runLive records into the folder in real time.
func runLive(ctx context.Context, b *bench) ([]figure, error) {
	e, err := b.startEdge(ctx)
	if err != nil {
		return nil, err
	}
	defer e.remove()
	const name = "live.ts"
	file, err := os.Create(filepath.Join(e.camera, name))
	if err != nil {
		return nil, err
	}
	least, err := e.recordLive(ctx, file, name)
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	settled := time.Now().Add(quietSecond)
	there := filepath.Join(e.into, name)
	if err := await(ctx, name, func() bool { return exists(there) }); err != nil {
		return nil, err
	}
	whole := time.Since(settled)
	return append(known(
		figure{"recorded at", "MB/s", float64(liveRate) / 1e6},
		figure{"least share at the server, after 10 s", "% of what is written", 100 * least},
		figure{"settled (a second after it was closed) until whole", "s", whole.Seconds()},
	), memory("edge and server", e.source, e.server)...), nil
}

// recordLive writes for some time and returns the least share that the server
// had of it after the beginning.
func (e *edge) recordLive(ctx context.Context, file *os.File, name string) (least float64, err error) {
	rng := rand.NewChaCha8([32]byte{16})
	some := make([]byte, liveRate/liveWrites)
	least, written := 1.0, int64(0)
	started, looked := time.Now(), time.Now()
	for i := 1; ; i++ {
		_, _ = rng.Read(some) // never fails
		n, err := file.Write(some)
		if err != nil {
			return 0, err
		}
		written += int64(n)
		spent := time.Since(started)
		if spent > liveFor {
			return least, nil
		}
		if spent > liveWarmUp && time.Since(looked) > liveLook {
			looked = time.Now()
			have, err := e.came(ctx, name)
			if err != nil {
				return 0, err
			}
			least = min(least, float64(have)/float64(written))
		}
		if err := sleepUntil(ctx, started.Add(time.Duration(i)*livePause)); err != nil {
			return 0, err
		}
	}
}

// came is how many bytes of an unfinished recording the server has on disk.
func (e *edge) came(ctx context.Context, name string) (int64, error) {
	videos, err := api.Collect(e.server.API.Videos(ctx))
	for _, v := range videos {
		if v.Name == name {
			return v.Have, err
		}
	}
	return 0, err
}
