package daemon

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	libp2pnet "github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/vidsync/vidsync/api"
)

// own is the node's only address of its own in these tests.
func own(a netip.Addr) bool { return a == netip.MustParseAddr("10.2.0.2") }

// seenBy is a view of peers: each text is an observer and what it sees, an
// address or, over QUIC, an address with a port.
func seenBy(views ...string) seenFromOutside {
	s := seenFromOutside{listen: multiaddrs("/ip4/0.0.0.0/tcp/4101"), asks: true, from: map[netip.Addr]netip.Addr{}, udp: map[netip.Addr]netip.AddrPort{}}
	for _, view := range views {
		observer, at, _ := strings.Cut(view, " ")
		from := netip.MustParseAddr(observer)
		if udp, err := netip.ParseAddrPort(at); err == nil {
			s.udp[from], s.from[from] = udp, udp.Addr()
		} else {
			s.from[from] = netip.MustParseAddr(at)
		}
	}
	return s
}

func checkHas(t *testing.T, c api.Check, state, words string) {
	t.Helper()
	if c.State != state || !strings.Contains(c.Detail, words) {
		t.Errorf("got %s: %s, want %s: …%s…", c.State, c.Detail, state, words)
	}
	if (c.State != checkOK) != (c.Remedy != "") {
		t.Errorf("state %s with remedy %q", c.State, c.Remedy)
	}
}

func TestDoctorNAT(t *testing.T) {
	for name, c := range map[string]struct {
		seen         seenFromOutside
		state, words string
	}{
		"nobody":         {seenBy(), checkOK, "not known"},
		"no router":      {seenBy("10.2.0.9 10.2.0.2"), checkOK, "none: peers see this node at its own address"},
		"one over TCP":   {seenBy("11.0.0.1 11.0.0.2"), checkOK, "at 11.0.0.2; of which kind it is shows once two"},
		"one over QUIC":  {seenBy("11.0.0.1 11.0.0.2:4101", "10.2.0.9 10.2.0.2:4101"), checkOK, "of which kind it is shows once two"},
		"same port":      {seenBy("11.0.0.1 11.0.0.2:5000", "11.0.0.7 11.0.0.2:5000"), checkOK, "endpoint-independent"},
		"another port":   {seenBy("11.0.0.1 11.0.0.2:5000", "11.0.0.7 11.0.0.2:5001"), checkWarning, "symmetric"},
		"and inside too": {seenBy("11.0.0.1 11.0.0.2:5000", "11.0.0.7 11.0.0.2:5001", "10.2.0.9 10.2.0.2:4101"), checkWarning, "symmetric"},
	} {
		t.Run(name, func(t *testing.T) { checkHas(t, c.seen.kind(own), c.state, c.words) })
	}
}

func TestDoctorFirewall(t *testing.T) {
	with := func(change func(*seenFromOutside)) seenFromOutside {
		s := seenBy()
		change(&s)
		return s
	}
	for name, c := range map[string]struct {
		seen         seenFromOutside
		active       string
		state, words string
	}{
		"nothing known": {seenBy(), "", checkOK, "not known"},
		"ufw":           {seenBy(), "ufw", checkWarning, "ufw is active"},
		"inbound":       {with(func(s *seenFromOutside) { s.inbound = ma.StringCast("/ip4/10.2.0.9/tcp/5") }), "ufw", checkOK, "connected from /ip4/10.2.0.9/tcp/5"},
		"loopback":      {with(func(s *seenFromOutside) { s.listen = multiaddrs("/ip4/127.0.0.1/tcp/1") }), "ufw", checkOK, "this machine alone"},
		"public":        {with(func(s *seenFromOutside) { s.public = libp2pnet.ReachabilityPublic }), "", checkOK, "peers on the internet can connect"},
		"private":       {with(func(s *seenFromOutside) { s.public = libp2pnet.ReachabilityPrivate }), "", checkWarning, "cannot connect to port 4101"},
		"said so": {with(func(s *seenFromOutside) {
			s.public, s.forced = libp2pnet.ReachabilityPrivate, true
		}), "", checkOK, "not known"},
	} {
		t.Run(name, func(t *testing.T) {
			check := c.seen.firewall(c.active, "open PORT")
			checkHas(t, check, c.state, c.words)
			if c.active == "ufw" && check.Remedy != "" && !strings.Contains(check.Remedy, "open 4101") {
				t.Errorf("remedy %q", check.Remedy)
			}
		})
	}
}

func TestDoctorPortMap(t *testing.T) {
	off, mapped, stubborn := seenBy(), seenBy(), seenBy("11.0.0.1 11.0.0.2")
	off.asks = false
	mapped.router, mapped.mapped = true, []string{"/ip4/11.0.0.2/tcp/4101"}
	stubborn.router = true
	for name, c := range map[string]struct {
		seen         seenFromOutside
		state, words string
	}{
		"off":        {off, checkOK, "switched off"},
		"mapped":     {mapped, checkOK, "forwards /ip4/11.0.0.2/tcp/4101"},
		"stubborn":   {stubborn, checkWarning, "forwards no port"},
		"mute":       {seenBy("11.0.0.1 11.0.0.2"), checkWarning, "does not answer"},
		"not needed": {seenBy("10.2.0.9 10.2.0.2"), checkOK, "none is needed"},
	} {
		t.Run(name, func(t *testing.T) { checkHas(t, c.seen.portMap(own), c.state, c.words) })
	}
}

func TestDoctorInotify(t *testing.T) {
	limits := t.TempDir()
	for name, text := range map[string]string{"max_user_watches": "1000\n", "max_user_instances": "8\n"} {
		if err := os.WriteFile(filepath.Join(limits, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	checkHas(t, checkInotify(2, 10, limits), checkOK, "2, with all that is below 10 of at most 1000")
	checkHas(t, checkInotify(2, 950, limits), checkWarning, "950 of at most 1000")
	checkHas(t, checkInotify(8, 10, limits), checkWarning, "at most 8")
	checkHas(t, checkInotify(2, 10, t.TempDir()), checkOK, "does not say")
}
