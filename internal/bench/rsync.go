package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/vidsync/vidsync/internal/rig"
)

const rsyncConfig = `use chroot = no
max verbosity = 0
[in]
	path = %s
	read only = no
	uid = %d
	gid = %d
`

// runRsync copies the file to rsync's daemon, until it is on disk.
func runRsync(ctx context.Context, b *bench) ([]figure, error) {
	program, err := exec.LookPath("rsync")
	if err != nil {
		return nil, skip("no rsync on PATH")
	}
	path, err := b.video(int64(b.size))
	if err != nil {
		return nil, err
	}
	dir, remove, err := b.scratch("rsync")
	if err != nil {
		return nil, err
	}
	defer remove()
	daemon, addr, err := startRsync(ctx, program, dir)
	if err != nil {
		return nil, err
	}
	defer daemon.Stop()
	log := filepath.Join(dir, "client.log")
	m := startMeter(false)
	client, err := rig.Start(log, nil, program, "--whole-file", path, "rsync://"+addr+"/in/copied")
	if err != nil {
		return nil, err
	}
	defer client.Kill()
	select {
	case <-client.Done():
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if !client.State().Success() {
		return nil, fmt.Errorf("rsync: %s: %s", client.State(), rig.Tail(log))
	}
	if err := syncFile(filepath.Join(dir, "copied")); err != nil {
		return nil, err
	}
	wall, _ := m.read()
	daemon.Stop() // so that its children are counted
	return rates(int64(b.size), wall, client.CPU()+daemon.CPU()), nil
}

// startRsync starts a daemon that takes files into dir, and returns when it
// listens.
func startRsync(ctx context.Context, program, dir string) (*rig.Process, string, error) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	addr := free.Addr().(*net.TCPAddr)
	if err := free.Close(); err != nil {
		return nil, "", err
	}
	config := filepath.Join(dir, "rsyncd.conf")
	text := fmt.Sprintf(rsyncConfig, dir, os.Getuid(), os.Getgid())
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, "", err
	}
	log := filepath.Join(dir, "daemon.log")
	p, err := rig.Start(log, nil, program, "--daemon", "--no-detach",
		"--config="+config, "--address=127.0.0.1", fmt.Sprintf("--port=%d", addr.Port))
	if err != nil {
		return nil, "", err
	}
	if err := awaitListening(ctx, addr.String()); err != nil {
		p.Stop()
		return nil, "", fmt.Errorf("rsync daemon: %w: %s", err, rig.Tail(log))
	}
	return p, addr.String(), nil
}

// awaitListening returns when somebody listens on a TCP address.
func awaitListening(ctx context.Context, addr string) error {
	const (
		patience = 10 * time.Second
		poll     = 2 * time.Millisecond
	)
	for deadline := time.Now().Add(patience); ; time.Sleep(poll) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
	}
}
