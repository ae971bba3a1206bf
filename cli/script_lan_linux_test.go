package cli_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vidsync/vidsync/api"
)

func init() {
	scriptCommands["lan"] = cmdLAN
	scriptCommands["connected"] = cmdConnected
}

// lanPlan is two hosts on one cable that carries RATE. Deleting an address leaves
// the others of its network.
const lanPlan = `
ip netns add Pedge
ip netns add Pserver
ip -n Pedge link set lo up
ip -n Pserver link set lo up
ip netns exec Pedge sysctl -qw net.ipv4.conf.all.promote_secondaries=1
ip netns exec Pserver sysctl -qw net.ipv4.conf.all.promote_secondaries=1
ip -n Pedge link add eth type veth peer name eth netns Pserver
ip -n Pedge link set eth up
ip -n Pserver link set eth up
ip netns exec Pedge tc qdisc add dev eth root tbf rate RATE burst 64kb latency 100ms
ip netns exec Pserver tc qdisc add dev eth root tbf rate RATE burst 64kb latency 100ms
`

// cmdLAN makes the network of lanPlan for the length of the script. It sets EDGE
// and SERVER to the names of the hosts' namespaces, in which nothing has an
// address yet, and HOSTS to the file in which EDGE looks names up. Scripts ask
// for the condition "nat" first.
func cmdLAN(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 1, "lan RATE")
	prefix := fmt.Sprintf("vs%d-%d", os.Getpid(), networks.Add(1))
	edge, server := prefix+"edge", prefix+"server"
	names := filepath.Join("/etc/netns", edge)
	ts.Defer(func() {
		for _, name := range []string{edge, server} {
			if out, err := exec.Command("ip", "netns", "del", name).CombinedOutput(); err != nil {
				ts.Logf("remove namespace: %s", out)
			}
		}
		ts.Check(os.RemoveAll(names))
	})
	runPlan(ts, strings.NewReplacer("P", prefix, "RATE", args[0]).Replace(lanPlan))
	ts.Check(os.MkdirAll(names, 0o755))
	ts.Check(os.WriteFile(filepath.Join(names, "hosts"), []byte("127.0.0.1 localhost\n"), 0o644))
	ts.Setenv("EDGE", edge)
	ts.Setenv("SERVER", server)
	ts.Setenv("HOSTS", filepath.Join(names, "hosts"))
}

// runPlan runs each line of a plan as a program.
func runPlan(ts *testscript.TestScript, plan string) {
	for line := range strings.Lines(plan) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			ts.Fatalf("%v: %s", words, out)
		}
	}
}

// cmdConnected waits until a node is connected to a peer.
func cmdConnected(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 2, "connected HOME PEER")
	until(ts, "a connection to "+args[1], func(ctx context.Context) bool {
		peers, err := client(ts, args[0]).Peers(ctx)
		return err == nil && slices.ContainsFunc(peers, func(p api.Peer) bool { return p.PeerID == args[1] && p.Connected })
	})
}
