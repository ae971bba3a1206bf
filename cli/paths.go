package cli

import (
	"cmp"
	"os"
	"path/filepath"
	"strings"

	"github.com/adrg/xdg"
)

const (
	configName = "config.toml"
	socketName = "vidsync.sock"
)

// paths says where everything of one node is. All are absolute.
type paths struct {
	Config   string // the user's configuration file
	Identity string // private key
	Peers    string // trust list
	Index    string // Badger folder
	Work     string // unfinished transcriptions
	Videos   string // fetched videos, if no setting says otherwise
	Socket   string // local API; api finds another place if this path is too long
	Lock     string
	APIToken string // of the local API over TCP
	Limits   string // what the limit command set
	Banned   string // peers that sent wrong bytes
	Damaged  string // files found damaged
	Revoked  string // tickets taken back
	Invites  string // invites that are open
	Journal  string // what the index can be made again from
}

// systemPlaces are the folders of the system's service.
type systemPlaces struct{ config, state, runtime string }

// paths finds the node's places: one folder if --home names it, the service's
// if systemd started this process with a state folder, else the user's XDG
// folders.
func (a *app) paths() (paths, error) {
	var p paths
	switch {
	case a.homeFlag() != "":
		home, err := filepath.Abs(a.homeFlag())
		if err != nil {
			return p, usagef("--home: %v", err)
		}
		p = placesIn(home, home, home, filepath.Join(home, "videos"))
	case a.env["STATE_DIRECTORY"] != "":
		p = a.servicePaths()
	default:
		p = a.userPaths()
	}
	if a.global.config != "" {
		file, err := filepath.Abs(a.global.config)
		if err != nil {
			return p, usagef("--config: %v", err)
		}
		p.Config = file
	}
	return p, nil
}

// homeFlag is --home, also before the environment has been applied to flags.
func (a *app) homeFlag() string { return cmp.Or(a.global.home, a.env[envName("home")]) }

func placesIn(config, state, runtime, videos string) paths {
	return paths{
		Config:   filepath.Join(config, configName),
		Identity: filepath.Join(state, "identity.key"),
		Peers:    filepath.Join(state, "peers.json"),
		Index:    filepath.Join(state, "index"),
		Work:     filepath.Join(state, "work"),
		Videos:   videos,
		Socket:   filepath.Join(runtime, socketName),
		Lock:     filepath.Join(state, "lock"),
		APIToken: filepath.Join(state, "api-token"),
		Limits:   filepath.Join(state, "limits.json"),
		Banned:   filepath.Join(state, "banned.json"),
		Damaged:  filepath.Join(state, "damaged.json"),
		Revoked:  filepath.Join(state, "revoked.json"),
		Invites:  filepath.Join(state, "invites.json"),
		Journal:  filepath.Join(state, "files.jsonl"),
	}
}

// servicePaths follows what systemd says; each variable may list several
// folders, of which the first is the service's own.
func (a *app) servicePaths() paths {
	dir := func(variable, fallback string) string {
		first, _, _ := strings.Cut(a.env[variable], ":")
		return cmp.Or(first, fallback)
	}
	state := dir("STATE_DIRECTORY", a.system.state)
	return placesIn(dir("CONFIGURATION_DIRECTORY", a.system.config), state,
		dir("RUNTIME_DIRECTORY", a.system.runtime), filepath.Join(state, "videos"))
}

func (a *app) userPaths() paths {
	dir := func(variable, fallback string) string {
		base := a.env[variable]
		if !filepath.IsAbs(base) { // as the XDG specification wants it
			base = fallback
		}
		return filepath.Join(base, "vidsync")
	}
	state := dir("XDG_STATE_HOME", xdg.StateHome)
	runtime := dir("XDG_RUNTIME_DIR", xdg.RuntimeDir)
	if info, err := os.Stat(filepath.Dir(runtime)); err != nil || !info.IsDir() {
		runtime = state // no session, no runtime folder
	}
	videos := filepath.Join(dir("XDG_DATA_HOME", xdg.DataHome), "videos")
	return placesIn(dir("XDG_CONFIG_HOME", xdg.ConfigHome), state, runtime, videos)
}

// sockets are where a daemon for this command may listen: the node's own
// socket and, for who did not name a home, the system service's.
func (a *app) sockets(p paths) []string {
	if a.homeFlag() != "" {
		return []string{p.Socket}
	}
	return []string{p.Socket, filepath.Join(a.system.runtime, socketName)}
}
