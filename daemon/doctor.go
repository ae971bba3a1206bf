package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"

	"github.com/vidsync/vidsync/api"
)

// The states of a check.
const (
	checkOK      = "ok"
	checkWarning = "warning"
	checkProblem = "problem"
)

const (
	littleSpace = 10 << 30
	noSpace     = 1 << 30
	// quicBuffer is what quic-go asks of the kernel.
	quicBuffer = 7 << 20
	fewFiles   = 4096
)

// Doctor looks at all that a node needs, and says what to do where something
// is amiss.
func (n *Node) Doctor(ctx context.Context) ([]api.Check, error) {
	checks := []api.Check{n.checkIdentity()}
	checks = append(checks, n.checkNetwork()...)
	checks = append(checks, n.checkReach()...)
	checks = append(checks, n.checkPeers(), n.checkWatches(ctx))
	checks = append(checks, n.checkDisk()...)
	checks = append(checks, n.checkVideos(ctx), n.checkScrub())
	checks = append(checks, n.checkHooks()...)
	checks = append(checks, checkClock(), checkOpenFiles(), checkUDPBuffers())
	return append(checks, n.checkEngines(ctx)...), nil
}

func (n *Node) checkIdentity() api.Check {
	c := api.Check{Name: "identity", State: checkOK, Detail: n.self.String()}
	if info, err := os.Stat(n.cfg.Paths.Identity); err == nil && info.Mode().Perm()&0o077 != 0 {
		c.State, c.Detail = checkProblem, fmt.Sprintf("%s can be read by others", n.cfg.Paths.Identity)
		c.Remedy = "chmod 600 " + n.cfg.Paths.Identity
	}
	return c
}

func (n *Node) checkNetwork() []api.Check {
	listen := api.Check{Name: "ports", State: checkWarning, Detail: "no daemon is running", Remedy: "vidsync daemon"}
	if net := n.onlineNow(); net != nil {
		listen = api.Check{Name: "ports", State: checkOK, Detail: "listening on " + strings.Join(net.fullAddrs(), " ")}
		if len(net.host.Addrs()) == 0 {
			listen.State, listen.Detail, listen.Remedy = checkProblem, "listening nowhere", "check --listen and the machine's interfaces"
		}
	}
	lan := api.Check{Name: "mdns", State: checkOK, Detail: "an interface can do multicast"}
	switch {
	case n.cfg.NoMDNS:
		lan.Detail = "switched off"
	case !hasMulticast():
		lan = api.Check{Name: "mdns", State: checkWarning, Detail: "no interface that can do multicast is up",
			Remedy: "connect to a network, or name peers with: vidsync peer add MULTIADDR"}
	}
	return []api.Check{listen, lan}
}

func (n *Node) checkPeers() api.Check {
	trusted := n.trust.all()
	if len(trusted) == 0 {
		return api.Check{Name: "peers", State: checkOK, Detail: "no peer is trusted; videos go by ticket only"}
	}
	connected := 0
	if net := n.onlineNow(); net != nil {
		for _, p := range trusted {
			if net.connected(p.ID) {
				connected++
			}
		}
	}
	return api.Check{Name: "peers", State: checkOK, Detail: fmt.Sprintf("%d of %d trusted peers connected", connected, len(trusted))}
}

func (n *Node) checkDisk() []api.Check {
	var checks []api.Check
	for _, at := range []struct{ name, path string }{{"videos", n.cfg.Paths.Videos}, {"index", n.cfg.Paths.Index}} {
		c := api.Check{Name: "disk for " + at.name, State: checkOK}
		dir := existing(at.path)
		free, err := diskFree(dir)
		switch {
		case err != nil:
			c.State, c.Detail, c.Remedy = checkProblem, err.Error(), "check the disk"
		case free < noSpace:
			c.State, c.Remedy = checkProblem, "free some space, or choose another place"
		case free < littleSpace:
			c.State, c.Remedy = checkWarning, "free some space before fetching large videos"
		}
		if err == nil {
			c.Detail = fmt.Sprintf("%s: %s free", dir, humanize.IBytes(uint64(free)))
		}
		checks = append(checks, c)
	}
	return append(checks, checkWritable(n.cfg.Paths.Videos))
}

func checkWritable(dir string) api.Check {
	c := api.Check{Name: "videos folder", State: checkOK, Detail: dir + " can be written"}
	if err := unix.Access(existing(dir), unix.W_OK|unix.X_OK); err != nil {
		c.State, c.Detail, c.Remedy = checkProblem, fmt.Sprintf("%s: %v", existing(dir), err), "make "+dir+" writable, or choose another with `videos` in config.toml"
	}
	return c
}

// checkVideos finds videos whose files are no longer what was added.
func (n *Node) checkVideos(ctx context.Context) api.Check {
	var gone []string
	total := 0
	for v, err := range n.store.Videos() {
		if err = errors.Join(err, ctx.Err()); err != nil {
			return api.Check{Name: "videos", State: checkProblem, Detail: err.Error(), Remedy: "look at the log; the index may be damaged"}
		}
		total++
		if path, state, err := n.fileState(v.CID); err == nil && state != videoWhole && state != videoRemoved && len(gone) < 10 {
			gone = append(gone, fmt.Sprintf("%s (%s)", cmp.Or(path, v.Name), n.trouble(path, state)))
		}
	}
	if len(gone) == 0 {
		return api.Check{Name: "videos", State: checkOK, Detail: fmt.Sprintf("%d in the catalogue, their files in place", total)}
	}
	return api.Check{Name: "videos", State: checkWarning, Detail: "not served whole: " + strings.Join(gone, ", "),
		Remedy: "restore the file and add it again, mend it with vidsync verify --repair REF, or forget it with vidsync rm REF"}
}

// trouble is a state of a video that is not whole, with where it is damaged.
func (n *Node) trouble(path, state string) string {
	if state != videoDamaged {
		return state
	}
	damage := n.damageOf(path)
	if len(damage) == 0 {
		return state // until just now
	}
	d := damage[0]
	text := fmt.Sprintf("damaged at bytes %d to %d", d.Offset, d.Offset+d.Length-1)
	if len(damage) > 1 {
		text += fmt.Sprintf(" and %d more places", len(damage)-1)
	}
	return text
}

// checkClock finds a clock that was never set: tickets expire by it.
func checkClock() api.Check {
	now := time.Now()
	if now.Year() < 2025 {
		return api.Check{Name: "clock", State: checkProblem, Detail: "says " + now.Format(time.RFC1123),
			Remedy: "set it, or install an NTP client: tickets expire by the clock"}
	}
	return api.Check{Name: "clock", State: checkOK, Detail: now.UTC().Format(time.RFC1123)}
}

func checkOpenFiles() api.Check {
	limit := maxOpenFiles()
	c := api.Check{Name: "open files", State: checkOK, Detail: fmt.Sprintf("limit %d", limit)}
	if limit < fewFiles {
		c.State, c.Remedy = checkWarning, "raise it: ulimit -n 65536, or LimitNOFILE=65536 in the service"
	}
	return c
}

func checkUDPBuffers() api.Check {
	c := api.Check{Name: "udp buffers", State: checkOK}
	for _, name := range []string{"rmem_max", "wmem_max"} {
		data, err := os.ReadFile(filepath.Join("/proc/sys/net/core", name))
		if err != nil {
			return api.Check{Name: "udp buffers", State: checkOK, Detail: "this system does not say"}
		}
		size, err := strconv.Atoi(strings.TrimSpace(string(data)))
		if err == nil && size < quicBuffer {
			c.State = checkWarning
			c.Remedy = fmt.Sprintf("for fast QUIC: sysctl -w net.core.rmem_max=%d net.core.wmem_max=%d", 7500000, 7500000)
		}
		c.Detail += fmt.Sprintf("net.core.%s=%d ", name, size)
	}
	c.Detail = strings.TrimSpace(c.Detail)
	return c
}

// checkEngines asks every engine whether it could transcribe now. One that
// works, with ffmpeg to hear with, is enough.
func (n *Node) checkEngines(ctx context.Context) []api.Check {
	var checks []api.Check
	engine, audio := false, true
	for _, e := range n.transcriber.Probe(ctx) {
		c := api.Check{Name: e.Name, State: checkOK, Detail: strings.TrimSpace(e.Version + " " + e.Model)}
		if !e.Usable {
			c.State, c.Detail, c.Remedy = checkWarning, "not set up", e.Remedy
		}
		if e.Name == "ffmpeg" || e.Name == "ffprobe" {
			audio = audio && e.Usable
		} else {
			engine = engine || e.Usable
		}
		checks = append(checks, c)
	}
	if engine && audio {
		for i := range checks {
			checks[i].State = checkOK // one engine is enough
		}
		return checks
	}
	return append(checks, api.Check{Name: "transcription", State: checkProblem, Detail: "no engine works here; fetched videos wait for one",
		Remedy: "apt-get install -y ffmpeg pocketsphinx pocketsphinx-en-us"})
}
