package main

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

const (
	sparseSize    = 2 * tib
	indexedBlocks = 100_000
)

// runSparse adds a sparse file of 2 TiB.
func runSparse(ctx context.Context, b *bench) ([]figure, error) {
	dir, remove, err := b.scratch("sparse")
	if err != nil {
		return nil, err
	}
	defer remove()
	path, err := b.sparseFile(dir, sparseSize)
	if err != nil {
		return nil, err
	}
	n, err := b.startNode(ctx, "sparse-home", loopback)
	if err != nil {
		return nil, err
	}
	defer n.remove()
	m := startMeter(false, n.PID())
	if _, err := n.Add(ctx, path); err != nil {
		return nil, err
	}
	wall, cpu := m.read()
	return append(known(figure{"add", "s", wall}, figure{"CPU", "s", cpu}), memory("daemon", n)...), nil
}

// runStart starts a daemon on an index of many blocks.
func runStart(ctx context.Context, b *bench) ([]figure, error) {
	dir, remove, err := b.scratch("indexed")
	if err != nil {
		return nil, err
	}
	defer remove()
	video, err := b.sparseFile(dir, indexedBlocks*manifest.BlockSize)
	if err != nil {
		return nil, err
	}
	home := filepath.Join(dir, "home")
	if err := fillIndex(filepath.Join(home, "index"), video); err != nil {
		return nil, err
	}
	empty, err := b.startNode(ctx, "empty", loopback)
	if err != nil {
		return nil, err
	}
	empty.remove()
	full, err := b.startHome(ctx, home, loopback)
	if err != nil {
		return nil, err
	}
	defer full.remove()
	figures := []figure{
		{"empty index, until the API answers", "ms", milliseconds(empty.Ready)},
		{"until the API answers", "ms", milliseconds(full.Ready)},
	}
	idle, err := idleMemory(ctx, full)
	return append(append(figures, idle...), memory("daemon", full)...), err
}

// fillIndex records a video of many blocks, each with a made-up digest.
func fillIndex(dir, path string) (err error) {
	store, err := blockstore.Open(dir, blockstore.Config{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	digests := make([]manifest.Digest, indexedBlocks)
	im := store.Import()
	defer im.Discard()
	outboard := manifest.NewOutboard(manifest.BlockSize)
	for i := range digests {
		binary.BigEndian.PutUint64(digests[i][:], uint64(i)*0x9e3779b97f4a7c15) // spread over the key space
		block := manifest.Block{Index: i, Digest: digests[i], Offset: int64(i) * manifest.BlockSize, Len: manifest.BlockSize}
		if err := im.Block(block, outboard); err != nil {
			return err
		}
	}
	m, err := manifest.New(indexedBlocks*manifest.BlockSize, digests)
	if err != nil {
		return err
	}
	f := blockstore.File{Path: path, Stamp: blockstore.StampOf(info), Video: m.CID(), Origin: blockstore.Added, When: time.Now()}
	return im.Commit(m, f, blockstore.Video{CID: m.CID(), Name: "long.mp4", Added: f.When, State: "whole"})
}
