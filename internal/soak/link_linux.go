package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vidsync/vidsync/internal/rig"
)

const (
	linkPrefix      = "vidsync-soak-"
	linkPort        = 4101
	commandPatience = 20 * time.Second
)

// link is a wire between two hosts that are network namespaces, and can be cut.
type link struct{ hosts [2]string }

// newLink makes the hosts and the wire. The caller calls remove.
func newLink(ctx context.Context, n int) (*link, error) {
	removeStaleHosts(ctx)
	name := fmt.Sprintf("%s%d-%d", linkPrefix, os.Getpid(), n)
	l := &link{[2]string{name + "a", name + "b"}}
	err := errors.Join(
		quietly(ctx, "ip", "netns", "add", l.hosts[0]),
		quietly(ctx, "ip", "netns", "add", l.hosts[1]))
	if err == nil {
		err = quietly(ctx, "ip", "-n", l.hosts[0], "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", l.hosts[1])
	}
	for i, host := range l.hosts {
		if err == nil {
			err = errors.Join(
				quietly(ctx, "ip", "-n", host, "link", "set", "lo", "up"),
				quietly(ctx, "ip", "-n", host, "addr", "add", addressOf(i)+"/24", "dev", "wire"),
				quietly(ctx, "ip", "-n", host, "link", "set", "wire", "up"),
				quietly(ctx, "nsenter", "--net=/run/netns/"+host, "true"))
		}
	}
	if err != nil {
		_ = l.remove() // some of it is not there
		return nil, &leftOut{fmt.Sprintf("no network of its own can be made here: %v", err)}
	}
	return l, nil
}

func addressOf(host int) string { return fmt.Sprintf("10.214.77.%d", host+1) }

// put has a node run on one of the hosts. Its file systems are the machine's:
// `ip netns exec` would hide what is mounted later.
func (l *link) put(n *node, host int) {
	n.prefix = []string{"nsenter", "--net=/run/netns/" + l.hosts[host]}
	n.listen = fmt.Sprintf("/ip4/%s/tcp/%d", addressOf(host), linkPort)
}

// set cuts the wire, or mends it.
func (l *link) set(ctx context.Context, state string) error {
	return quietly(ctx, "ip", "-n", l.hosts[0], "link", "set", "wire", state)
}

func (l *link) remove() error {
	ctx := context.Background()
	return errors.Join(quietly(ctx, "ip", "netns", "del", l.hosts[0]), quietly(ctx, "ip", "netns", "del", l.hosts[1]))
}

// removeStaleHosts deletes those of earlier runs that were killed.
func removeStaleHosts(ctx context.Context) {
	entries, err := os.ReadDir("/run/netns")
	if err != nil {
		return // there are none
	}
	for _, e := range entries {
		rest, ours := strings.CutPrefix(e.Name(), linkPrefix)
		owner, _, _ := strings.Cut(rest, "-")
		pid, err := strconv.Atoi(owner)
		if ours && err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
			_ = quietly(ctx, "ip", "netns", "del", e.Name()) // the next run tries again
		}
	}
}

// quietly runs a command whose output does not matter.
func quietly(ctx context.Context, name string, args ...string) error {
	_, err := output(ctx, name, args...)
	return err
}

// output runs a short command and returns what it printed. The error has what it
// said.
func output(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandPatience)
	defer cancel()
	out, said, code, err := rig.Command(ctx, name, args...)
	if err == nil && code != 0 {
		err = fmt.Errorf("exit code %d: %s", code, strings.TrimSpace(said))
	}
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return strings.TrimSpace(out), nil
}
