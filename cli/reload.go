package cli

import (
	"os"
	"os/signal"
	"reflect"
	"sync"
	"syscall"
)

// onHangup calls reload at every SIGHUP until stop is called, which waits for
// it.
func onHangup(reload func()) (stop func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	end := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-hangups:
				reload()
			case <-end:
				return
			}
		}
	})
	return func() {
		signal.Stop(hangups)
		close(end)
		wg.Wait()
	}
}

// reload reads the configuration again and brings into force what can change
// while the daemon runs. A configuration with a mistake changes nothing.
func (a *app) reload(node engine, inForce *nodeConfig) {
	log := inForce.log
	p, err := a.paths()
	if err != nil {
		log.Error("settings were not reloaded", "error", err)
		return
	}
	cfg, err := a.nodeConfig(p, true)
	if err == nil {
		err = node.Reload(daemonConfig(*cfg))
	}
	if err != nil {
		log.Error("settings were not reloaded", "error", err)
		return
	}
	if keys := needRestart(inForce.settings, cfg.settings); len(keys) > 0 {
		log.Warn("settings that differ need a restart", "keys", keys)
	}
	log.Info("settings were reloaded")
}

// needRestart are the keys that differ and that Reload does not touch.
func needRestart(inForce, now settings) []string {
	var keys []string
	for _, s := range schema {
		if !s.live && !reflect.DeepEqual(inForce[s.key].data, now[s.key].data) {
			keys = append(keys, s.key)
		}
	}
	return keys
}
