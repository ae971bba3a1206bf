package daemon

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/vidsync/vidsync/api"
)

// metricsTimeout bounds what one scrape costs.
const metricsTimeout = 10 * time.Second

// metricsHandler serves what this node and its libp2p count, in the text format
// of Prometheus. Each scrape asks the node anew; nothing is kept between two.
func (n *Node) metricsHandler() http.Handler {
	n.metrics.MustRegister(nodeCollector{n}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(n.metrics, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(n.log.Handler(), slog.LevelWarn), MaxRequestsInFlight: 4,
	})
}

// nodeCollector turns a node's status into metrics. It implements
// prometheus.Collector.
type nodeCollector struct{ node *Node }

// Describe implements prometheus.Collector. That it says nothing lets Collect
// leave out what is not known.
func (c nodeCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c nodeCollector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), metricsTimeout)
	defer cancel()
	status, err := c.node.Status(ctx)
	if err != nil {
		out <- prometheus.NewInvalidMetric(prometheus.NewDesc("vidsync_status", "The state of the node.", nil, nil), err)
		return
	}
	gauge := func(name, help string, value float64) { send(out, prometheus.GaugeValue, name, help, value) }
	gauge("videos", "Videos in the catalogue.", float64(status.Videos))
	gauge("video_bytes", "Bytes of all videos in the catalogue.", float64(status.Bytes))
	gauge("peers", "Peers that are connected.", float64(status.Peers))
	gauge("disk_free_bytes", "Free space where fetched videos go.", float64(status.DiskFree))
	gauge("limit_up_bytes_per_second", "Limit on pieces sent that holds now; 0: none.", float64(status.Limits.Up))
	gauge("limit_down_bytes_per_second", "Limit on pieces received that holds now; 0: none.", float64(status.Limits.Down))
	gauge("start_time_seconds", "When the node started, since 1970.", float64(status.Started.Unix()))
	send(out, prometheus.CounterValue, "received_bytes_total", "Bytes received from peers.", float64(status.BytesIn))
	send(out, prometheus.CounterValue, "sent_bytes_total", "Bytes sent to peers.", float64(status.BytesOut))
	collectJobs(out, status.Jobs)
	collectResources(out, status.Resources)
	collectHooks(out, status.Hooks)
}

func send(out chan<- prometheus.Metric, kind prometheus.ValueType, name, help string, value float64) {
	out <- prometheus.MustNewConstMetric(prometheus.NewDesc("vidsync_"+name, help, nil, nil), kind, value)
}

func collectJobs(out chan<- prometheus.Metric, jobs []api.Job) {
	count := map[[2]string]int{}
	for _, kind := range []string{kindFetch, kindTranscribe, kindLive} {
		for _, state := range []string{stateQueued, stateRunning, stateWaiting} {
			count[[2]string{kind, state}] = 0
		}
	}
	for _, j := range jobs {
		count[[2]string{j.Kind, j.State}]++
	}
	desc := prometheus.NewDesc("vidsync_jobs", "Jobs that have not ended.", []string{"kind", "state"}, nil)
	for key, n := range count {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(n), key[0], key[1])
	}
}

func collectResources(out chan<- prometheus.Metric, r api.Resources) {
	used := prometheus.NewDesc("vidsync_resource_used", "How much of a bounded thing is in use.", []string{"resource"}, nil)
	limit := prometheus.NewDesc("vidsync_resource_limit", "The bound of it; 0: not known.", []string{"resource"}, nil)
	for name, u := range map[string]api.Usage{
		"network_memory_bytes": r.NetworkMemory, "serving_memory_bytes": r.ServingMemory, "piece_memory_bytes": r.PieceMemory,
		"streams": r.Streams, "connections": r.Connections, "open_files": r.OpenFiles,
	} {
		out <- prometheus.MustNewConstMetric(used, prometheus.GaugeValue, float64(u.Used), name)
		out <- prometheus.MustNewConstMetric(limit, prometheus.GaugeValue, float64(u.Limit), name)
	}
}
