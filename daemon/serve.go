package daemon

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/vidsync/vidsync/api"
)

// serveAPI answers the local API on the home's socket and, if asked for, on a
// loopback TCP address, until ctx ends. It keeps systemd informed.
func (n *Node) serveAPI(ctx context.Context, g *errgroup.Group) error {
	handler := api.Handler(n, api.HandlerConfig{Version: n.cfg.Version, Metrics: n.metricsHandler()})
	socket, err := api.Listen(n.cfg.Paths.Socket)
	if err != nil {
		return err
	}
	g.Go(func() error { return api.Serve(ctx, socket, handler, n.log) })
	if n.cfg.API != "" {
		if err := n.serveTCP(ctx, g, handler); err != nil {
			return err
		}
	}
	n.log.Info("ready", "peer_id", n.self, "socket", n.cfg.Paths.Socket, "addrs", n.online.fullAddrs())
	g.Go(func() error { return n.reportToSystemd(ctx) })
	return nil
}

func (n *Node) serveTCP(ctx context.Context, g *errgroup.Group, handler http.Handler) error {
	host, _, err := net.SplitHostPort(n.cfg.API)
	if err != nil {
		return api.Errorf(api.CodeUsage, "--api %s: %w; give HOST:PORT, such as 127.0.0.1:8101", n.cfg.API, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return api.Errorf(api.CodeUsage, "--api %s is not a loopback address; the API has no TLS, so put a proxy in front of a loopback port", n.cfg.API)
	}
	token, err := loadToken(n.cfg.Paths.APIToken)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", n.cfg.API)
	if err != nil {
		return api.Errorf(api.CodeUsage, "--api: %w", err)
	}
	g.Go(func() error { return api.Serve(ctx, l, api.TokenHandler(handler, token, nil), n.log) })
	n.log.Info("api listens", "addr", l.Addr(), "token_file", n.cfg.Paths.APIToken)
	return nil
}

// loadToken reads the TCP API's token, and makes one the first time.
func loadToken(path string) (string, error) {
	data, err := readSmallFile(path)
	if token := strings.TrimSpace(string(data)); err == nil && token != "" {
		return token, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read API token: %w", err)
	}
	token := rand.Text()
	if err := writeSmallFile(path, []byte(token)); err != nil {
		return "", fmt.Errorf("write API token: %w", err)
	}
	return token, nil
}
