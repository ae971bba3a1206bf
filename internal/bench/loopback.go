package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

// idlePause is how long a daemon is left alone before its memory counts as
// idle.
const idlePause = 2 * time.Second

// runLoopback measures one source and one fetcher on this machine. The file is
// in the page cache, as one that was just recorded.
func runLoopback(ctx context.Context, b *bench) ([]figure, error) {
	path, err := b.video(int64(b.size))
	if err != nil {
		return nil, err
	}
	source, err := b.startNode(ctx, "source", loopback)
	if err != nil {
		return nil, err
	}
	defer source.remove()
	figures, err := idleMemory(ctx, source)
	if err != nil {
		return nil, err
	}
	added, cid, err := measureAdd(ctx, source, path)
	if err != nil {
		return nil, err
	}
	fetched, err := measureFetch(ctx, b, source, cid)
	if err != nil {
		return nil, err
	}
	first, err := measureCat(ctx, b, source, cid)
	return append(append(append(figures, added...), fetched...), first...), err
}

func idleMemory(ctx context.Context, n *node) ([]figure, error) {
	select {
	case <-time.After(idlePause):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return known(figure{"memory, idle", "MiB", n.usage().resident}), nil
}

// measureAdd adds a file twice.
func measureAdd(ctx context.Context, source *node, path string) (figures []figure, cid string, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, "", err
	}
	m := startMeter(false, source.PID())
	if cid, err = source.Add(ctx, path); err != nil {
		return nil, "", err
	}
	wall, cpu := m.read()
	again := startMeter(false)
	if _, err = source.Add(ctx, path); err != nil {
		return nil, "", err
	}
	second, _ := again.read()
	gigabytes := float64(info.Size()) / 1e9
	return known(
		figure{"add", "MB/s", 1000 * gigabytes / wall},
		figure{"add CPU", "s/GB", cpu / gigabytes},
		figure{"add again", "ms", 1000 * second},
	), cid, nil
}

func measureFetch(ctx context.Context, b *bench, source *node, cid string) ([]figure, error) {
	fetcher, err := b.startNode(ctx, "fetcher", loopback)
	if err != nil {
		return nil, err
	}
	defer fetcher.remove()
	ends := []meter{startMeter(false, source.PID()), startMeter(false, fetcher.PID())}
	result, err := fetcher.Fetch(ctx, cid, nil, source.Addr)
	if err != nil {
		return nil, err
	}
	wall, sourceCPU := ends[0].read()
	_, fetcherCPU := ends[1].read()
	if result.BytesReceived < result.Size {
		return nil, fmt.Errorf("fetched %d of %d bytes from the source", result.BytesReceived, result.Size)
	}
	gigabytes := float64(result.Size) / 1e9
	figures := known(
		figure{"fetch", "MB/s", 1000 * gigabytes / wall},
		figure{"fetch, wall", "s", wall},
		figure{"fetch CPU, source", "s/GB", sourceCPU / gigabytes},
		figure{"fetch CPU, fetcher", "s/GB", fetcherCPU / gigabytes},
		figure{"fetch CPU, both ends", "s/GB", (sourceCPU + fetcherCPU) / gigabytes},
	)
	figures = append(figures, memory("source", source)...)
	return append(figures, memory("fetcher", fetcher)...), nil
}

// measureCat asks for a video that is not here yet.
func measureCat(ctx context.Context, b *bench, source *node, cid string) ([]figure, error) {
	reader, err := b.startNode(ctx, "reader", loopback)
	if err != nil {
		return nil, err
	}
	defer reader.remove()
	after, err := reader.firstByte(ctx, cid, source.Addr)
	return []figure{{"cat, first byte", "ms", milliseconds(after)}}, err
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
