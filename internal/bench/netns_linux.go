package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/vidsync/vidsync/internal/rig"
)

const (
	namespacePrefix = "vidsync-bench-"
	commandPatience = 10 * time.Second

	// Bandwidth is limited by tc's token bucket, which counts a packet with
	// its headers. The rates of the cases are what TCP's payload may use.
	onTheWire = 1514.0 / packetBytes
)

var networks atomic.Int64 // made by this process

// lan is a star of network namespaces: a hub, and hosts that each have a link
// to it.
type lan struct {
	name  string
	hosts int
}

// lanHost is one host of a lan.
type lanHost struct {
	rig.Place
	ip  string
	hub rig.Place // the hub's end of this host's link; listen is without a port
}

// newLAN makes the hub. With forward, hosts reach each other. The caller calls
// remove. Without the tools or the rights for it, the error is a skip.
func newLAN(ctx context.Context, forward bool) (*lan, error) {
	for _, tool := range []string{"ip", "tc"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, skip("no %s on PATH; install iproute2", tool)
		}
	}
	removeStale(ctx)
	l := &lan{name: fmt.Sprintf("%s%d-%d", namespacePrefix, os.Getpid(), networks.Add(1))}
	if err := command(ctx, "ip", "netns", "add", l.name); err != nil {
		return nil, skip("network namespaces are not permitted here: %v", err)
	}
	err := command(ctx, "ip", "-n", l.name, "link", "set", "lo", "up")
	if err == nil && forward {
		err = command(ctx, "ip", "netns", "exec", l.name, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
	}
	if err != nil {
		l.remove()
		return nil, skip("network namespaces cannot be set up here: %v", err)
	}
	return l, nil
}

// addHost makes a host whose link to the hub carries upMbit up, and any amount
// down. 0 means no limit.
func (l *lan) addHost(ctx context.Context, upMbit float64) (*lanHost, error) {
	l.hosts++
	ns, veth := fmt.Sprintf("%s-h%d", l.name, l.hosts), fmt.Sprintf("v%d", l.hosts)
	subnet := fmt.Sprintf("10.213.%d.", l.hosts)
	steps := [][]string{
		{"ip", "netns", "add", ns},
		{"ip", "-n", ns, "link", "set", "lo", "up"},
		{"ip", "-n", l.name, "link", "add", veth, "type", "veth", "peer", "name", "eth0", "netns", ns},
		{"ip", "-n", l.name, "addr", "add", subnet + "1/24", "dev", veth},
		{"ip", "-n", l.name, "link", "set", veth, "up"},
		{"ip", "-n", ns, "addr", "add", subnet + "2/24", "dev", "eth0"},
		{"ip", "-n", ns, "link", "set", "eth0", "up"},
		{"ip", "-n", ns, "route", "add", "default", "via", subnet + "1"},
	}
	if upMbit > 0 {
		steps = append(steps, limitRate(ns, upMbit))
	}
	for _, step := range steps {
		if err := command(ctx, step[0], step[1:]...); err != nil {
			return nil, skip("network namespaces cannot be set up here: %v", err)
		}
	}
	return &lanHost{
		Place: rig.Place{Prefix: []string{"ip", "netns", "exec", ns}, Listen: fmt.Sprintf("/ip4/%s2/tcp/%d", subnet, listenPort)},
		ip:    subnet + "2",
		hub:   rig.Place{Prefix: []string{"ip", "netns", "exec", l.name}, Listen: subnet + "1"},
	}, nil
}

// limitRate is the command for a token bucket that lets through 10 ms at once
// and queues 100 ms.
func limitRate(ns string, mbit float64) []string {
	bitsPerSecond := mbit * 1e6 * onTheWire
	burst := max(16<<10, int(bitsPerSecond/8/100))
	return []string{"tc", "-n", ns, "qdisc", "add", "dev", "eth0", "root", "tbf",
		"rate", strconv.FormatInt(int64(bitsPerSecond), 10), "burst", strconv.Itoa(burst), "latency", "100ms"}
}

// remove deletes the namespaces. The processes in them must have ended.
func (l *lan) remove() {
	for i := range l.hosts {
		_ = command(context.Background(), "ip", "netns", "del", fmt.Sprintf("%s-h%d", l.name, i+1)) // it may not have been made
	}
	_ = command(context.Background(), "ip", "netns", "del", l.name)
}

// removeStale deletes namespaces of earlier runs that were killed.
func removeStale(ctx context.Context) {
	entries, err := os.ReadDir("/run/netns")
	if err != nil {
		return // there are none
	}
	for _, e := range entries {
		rest, ours := strings.CutPrefix(e.Name(), namespacePrefix)
		owner, _, _ := strings.Cut(rest, "-")
		pid, err := strconv.Atoi(owner)
		if ours && err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
			_ = command(ctx, "ip", "netns", "del", e.Name())
		}
	}
}

// command runs a short command. The error has what it said.
func command(ctx context.Context, name string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, commandPatience)
	defer cancel()
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
