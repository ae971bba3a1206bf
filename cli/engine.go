package cli

import (
	"context"
	"time"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/daemon"
)

// localNodes reaches the daemon of this machine, and starts engines.
type localNodes struct{}

func (localNodes) dial(ctx context.Context, socket string) (api.Node, error) {
	client := api.NewClient(socket)
	if _, err := client.Ping(ctx); err != nil {
		return nil, err
	}
	return client, nil
}

func (localNodes) open(ctx context.Context, cfg nodeConfig) (engine, error) {
	node, err := daemon.Open(ctx, daemonConfig(cfg))
	if err != nil {
		return nil, err // a nil *daemon.Node would not be a nil engine
	}
	return node, nil
}

func (localNodes) rebuild(ctx context.Context, cfg nodeConfig, emit func(api.Progress)) (api.Rebuilt, error) {
	return daemon.Rebuild(ctx, daemonConfig(cfg), emit)
}

func (localNodes) defaultListen() []string { return daemon.DefaultListen() }

// scrubEvery has the pause that each value of the setting means.
var scrubEvery = map[string]time.Duration{"daily": 24 * time.Hour, "weekly": 7 * 24 * time.Hour}

func daemonConfig(cfg nodeConfig) daemon.Config {
	p, s := cfg.paths, cfg.settings
	c := daemon.Config{
		Paths: daemon.Paths{
			Identity: p.Identity, Peers: p.Peers, Index: p.Index, Work: p.Work, Videos: p.Videos,
			Socket: p.Socket, Lock: p.Lock, APIToken: p.APIToken, Limits: p.Limits, Banned: p.Banned, Damaged: p.Damaged, Revoked: p.Revoked, Invites: p.Invites, Journal: p.Journal,
		},
		Peers:        s.list("peers"),
		NoMDNS:       !s.truth("mdns"),
		Name:         s.text("node-name"),
		Relays:       s.list("relays"),
		RelayService: s.truth("relay-service"),
		RelayData:    s.truth("relay-data"),
		NoPortMap:    !s.truth("port-map"),
		Scrub:        scrubEvery[s.text("scrub")],
		Open:         s.truth("open"),
		Serve:        cfg.daemon,
		API:          s.text("api"),
		Version:      version(),
		NoTranscribe: !s.truth("transcribe.auto"),
		Logger:       cfg.log,
		Limit:        daemon.LimitConfig{Up: s.text("limit.up"), Down: s.text("limit.down"), Schedule: s.text("limit.schedule")},
	}
	c.Hooks = hooks(s)
	tellTranscriber(&c, s)
	if !s.isDefault("listen") {
		c.Listen = s.list("listen") // else the daemon's own choice
	}
	return c
}

// hooks are the settings of hooks.
func hooks(s settings) daemon.HookConfig {
	timeout, _ := time.ParseDuration(s.text("hooks.command-timeout")) // it was checked; empty means the default
	return daemon.HookConfig{
		URL: s.text("hooks.url"), SecretFile: s.text("hooks.secret-file"),
		Command: s.list("hooks.command"), CommandTimeout: timeout,
		Events: s.list("hooks.events"), Safe: s.count("hooks.safe"),
	}
}

// tellTranscriber takes over the settings of transcription.
func tellTranscriber(c *daemon.Config, s settings) {
	text := func(key string) string { return s.text("transcribe." + key) }
	t := &c.Transcribe
	t.Engine, t.Language = text("engine"), text("language")
	t.FFmpeg, t.FFprobe = text("ffmpeg"), text("ffprobe")
	t.Command, t.Jobs = s.list("transcribe.command"), s.count("transcribe.jobs")
	t.Pocketsphinx.Batch, t.Pocketsphinx.Model = text("pocketsphinx"), text("pocketsphinx-model")
	t.Whisper.CLI, t.Whisper.Model = text("whisper-cli"), text("whisper-model")
	t.OpenAI.URL, t.OpenAI.Model, t.OpenAI.Key = text("openai-url"), text("openai-model"), text("openai-key")
}
