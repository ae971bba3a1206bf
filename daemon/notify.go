package daemon

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vidsync/vidsync/api"
)

// What systemd may be told about a service is in sd_notify(3); what it tells
// the service is in sd_watchdog_enabled(3).
const (
	notifySocketVariable = "NOTIFY_SOCKET"
	notifyTimeout        = time.Second

	statusEvery = 30 * time.Second // where no watchdog sets the pace
	retryShare  = 10               // of a pause, after which a node that did not answer is asked again

	drainStep   = 20 * time.Second
	drainExtend = time.Minute      // what each step asks for
	drainLimit  = 10 * time.Minute // after which systemd may lose patience
)

// reportToSystemd tells systemd, until ctx ends, that the node is ready, what
// it does, and that it still lives; then that it stops, and for how long. It
// does nothing where nobody asked to be told.
func (n *Node) reportToSystemd(ctx context.Context) error {
	if os.Getenv(notifySocketVariable) == "" {
		return nil
	}
	every := cmp.Or(watchdogTimeout()/2, statusEvery)
	state, pause := "READY=1", time.Duration(0)
	for {
		select {
		case <-ctx.Done():
			n.reportDraining()
			return ctx.Err()
		case <-time.After(pause):
		}
		if err := n.answers(ctx); err != nil {
			if ctx.Err() == nil {
				n.log.Warn("the node does not answer itself", "error", err)
			}
			pause = every / retryShare
			continue
		}
		n.tellSystemd(state, n.statusLine())
		state, pause = "WATCHDOG=1", every
	}
}

// answers asks the node over its own API, as a command would, and then its job
// queue. A node that is stuck gives an error, or never returns.
func (n *Node) answers(ctx context.Context) error {
	_, err := api.NewClient(n.cfg.Paths.Socket).Ping(ctx)
	n.jobs.attempts()
	return err
}

// statusLine is the line that 'systemctl status' shows.
func (n *Node) statusLine() string {
	peers := 0
	if net := n.onlineNow(); net != nil {
		peers = len(net.host.Network().Peers())
	}
	return fmt.Sprintf("STATUS=Ready: %d peers connected, %d jobs running", peers, len(n.jobs.attempts()))
}

// attempts are the attempts at jobs that run now.
func (q *jobQueue) attempts() []*task {
	q.mu.Lock()
	defer q.mu.Unlock()
	var tasks []*task
	for id := range q.running {
		tasks = append(tasks, q.tasks[id])
	}
	return tasks
}

// reportDraining asks systemd for more time as long as attempts at jobs bring
// to disk what they have, but not for ever. It returns when they have ended.
func (n *Node) reportDraining() {
	extend := fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", drainExtend.Microseconds())
	n.tellSystemd("STOPPING=1", "STATUS=Stopping", extend)
	step := time.NewTicker(drainStep)
	defer step.Stop()
	limit := time.After(drainLimit)
	for attempts := n.jobs.attempts(); len(attempts) > 0; {
		select {
		case <-attempts[0].done:
			attempts = attempts[1:]
		case <-step.C:
			n.tellSystemd(extend, fmt.Sprintf("STATUS=Stopping: %d jobs to end", len(attempts)))
		case <-limit:
			return
		}
	}
	n.tellSystemd(extend) // for connections and the index
}

// whileReloading runs reload, which brings new settings into force, and tells
// systemd when it begins and ends. If it gives an error the node is ready
// nonetheless, with its old settings.
func (n *Node) whileReloading(reload func() error) error {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return fmt.Errorf("read the monotonic clock: %w", err)
	}
	n.tellSystemd("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/1000), "STATUS=Reloading")
	err := reload()
	n.tellSystemd("READY=1", n.statusLine())
	return err
}

// watchdogTimeout is how long systemd lets this process be silent, 0 if for
// ever.
func watchdogTimeout() time.Duration {
	if pid := os.Getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	micros, err := strconv.ParseUint(os.Getenv("WATCHDOG_USEC"), 10, 53)
	if err != nil {
		return 0
	}
	return time.Duration(micros) * time.Microsecond
}

// tellSystemd sends assignments in one message, and logs why it could not.
func (n *Node) tellSystemd(assignments ...string) {
	n.logged("tell systemd", notifySystemd(strings.Join(assignments, "\n")))
}

// notifySystemd sends a message to the service manager, if one asked for it.
func notifySystemd(message string) error {
	socket := os.Getenv(notifySocketVariable)
	if socket == "" {
		return nil
	}
	conn, err := net.DialTimeout("unixgram", socket, notifyTimeout)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(notifyTimeout)); err != nil {
		return err
	}
	_, err = conn.Write([]byte(message))
	return err
}
