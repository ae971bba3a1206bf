package daemon

import (
	"time"

	"github.com/vidsync/vidsync/api"
)

// Reload brings those settings of cfg into force that can change while a node
// runs: Limit, Peers and Hooks. Others are passed over. If it gives an error the old
// ones stay in force. It may be called any time, from any goroutine.
func (n *Node) Reload(cfg Config) error {
	return n.whileReloading(func() error {
		static, err := parseStatic(cfg.Peers)
		if err != nil {
			return err
		}
		hooks, err := cfg.Hooks.parse(n.cfg.Version, n.cfg.Serve)
		if err != nil {
			return err
		}
		if err := n.limits.reconfigure(cfg.Limit); err != nil {
			return err
		}
		if net := n.onlineNow(); net != nil {
			net.setStatic(static)
		}
		return n.hooks.configure(hooks)
	})
}

// reconfigure replaces the limits that the configuration gives.
func (l *limits) reconfigure(config LimitConfig) error {
	l.mu.Lock()
	rule, err := l.own.over(config).parse()
	if err == nil {
		l.config, l.rule = config, rule
	}
	l.mu.Unlock()
	if err != nil {
		return api.Errorf(api.CodeUsage, "limit.%w", err)
	}
	l.apply(time.Now())
	return nil
}
