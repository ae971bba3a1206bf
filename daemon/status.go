package daemon

import (
	"cmp"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/blockstore"
)

// Status returns the node at a glance.
func (n *Node) Status(ctx context.Context) (api.Status, error) {
	s := api.Status{
		PeerID: n.self.String(), Version: n.cfg.Version, Daemon: n.cfg.Serve,
		Started: n.started.UTC(), Addrs: []string{}, Jobs: []api.Job{}, MemoryBytes: residentMemory(),
		Limits: n.limits.listed(time.Now()), Resources: n.resources(), Hooks: n.hooks.listed(),
	}
	for v, err := range n.store.Videos() {
		if err != nil {
			return s, err
		}
		s.Videos++
		s.Bytes += v.Size
	}
	if net := n.onlineNow(); net != nil {
		traffic := net.traffic.GetBandwidthTotals()
		s.Addrs, s.Peers = net.fullAddrs(), len(net.host.Network().Peers())
		s.RateIn, s.RateOut, s.BytesIn, s.BytesOut = traffic.RateIn, traffic.RateOut, traffic.TotalIn, traffic.TotalOut
	}
	if free, err := diskFree(existing(n.cfg.Paths.Videos)); err == nil {
		s.DiskFree = free
	}
	jobs, err := n.Jobs(ctx)
	s.Jobs = append(s.Jobs, slices.DeleteFunc(jobs, func(j api.Job) bool {
		return j.State == stateDone || j.State == stateFailed
	})...)
	return s, err
}

// Jobs lists all jobs that the index remembers, oldest first.
func (n *Node) Jobs(ctx context.Context) ([]api.Job, error) {
	jobs := []api.Job{}
	for job, err := range n.store.Jobs() {
		if err != nil {
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		jobs = append(jobs, n.listedJob(n.jobs.current(job)))
	}
	slices.SortStableFunc(jobs, func(a, b api.Job) int { return a.Created.Compare(b.Created) })
	return jobs, nil
}

func (n *Node) listedJob(job blockstore.Job) api.Job {
	out := api.Job{
		ID: job.ID, Kind: job.Kind, CID: job.Video.String(), Name: n.jobName(job), State: job.State,
		Message: job.Message, Attempts: job.Attempts, Created: job.Created, Updated: job.Updated,
	}
	t := n.jobs.task(job.ID)
	if t == nil {
		return out
	}
	if p, ok := t.progress(); ok {
		out.Progress = &p
		out.Message = cmp.Or(out.Message, p.Message)
	}
	return out
}

// jobName is the name of a job's video, as far as it is known.
func (n *Node) jobName(job blockstore.Job) string {
	if v, err := n.store.Video(job.Video); err == nil {
		return v.Name
	}
	var spec fetchSpec
	if err := json.Unmarshal(job.Spec, &spec); err == nil && spec.Name != "" {
		return safeName(spec.Name, job.Video)
	}
	return ""
}

// existing is the nearest folder above path that exists.
func existing(path string) string {
	for {
		if _, err := os.Stat(path); err == nil || path == filepath.Dir(path) {
			return path
		}
		path = filepath.Dir(path)
	}
}

// residentMemory is what this process holds in memory, in bytes; 0 where the
// system does not say.
func residentMemory() int64 {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(data))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
