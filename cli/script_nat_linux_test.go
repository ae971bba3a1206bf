package cli_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/rogpeppe/go-internal/testscript"
)

func init() {
	scriptCommands["nat"] = cmdNAT
	scriptCommands["relayed"] = cmdRelayed
	scriptConditions["nat"] = sync.OnceValue(canNAT)
}

// natPlan makes a public network, 11.0.0.0/24, with a host "pub" on it, and two
// routers that each hide a host, "left" and "right", behind their own address.
// Nobody can open a connection to what is behind a router. P stands for a
// prefix of this test's own.
const natPlan = `
ip netns add Ppub
ip -n Ppub link set lo up
ip -n Ppub link add wan type bridge
ip -n Ppub addr add 11.0.0.1/24 dev wan
ip -n Ppub link set wan up
`

// sidePlan is one router, S, with the host behind it; N is the router's number.
const sidePlan = `
ip netns add PS
ip netns add PSnat
ip -n PS link set lo up
ip -n Ppub link add S type veth peer name wan netns PSnat
ip -n Ppub link set S master wan up
ip -n PSnat addr add 11.0.0.N/24 dev wan
ip -n PSnat link set wan up
ip -n PSnat link add lan type veth peer name eth netns PS
ip -n PSnat addr add 10.N.0.1/24 dev lan
ip -n PSnat link set lan up
ip -n PS addr add 10.N.0.2/24 dev eth
ip -n PS link set eth up
ip -n PS route add default via 10.N.0.1
ip netns exec PSnat sysctl -qw net.ipv4.ip_forward=1
ip netns exec PSnat nft add table ip nat
ip netns exec PSnat nft add chain ip nat post { type nat hook postrouting priority 100; }
ip netns exec PSnat nft add rule ip nat post oifname wan masquerade HOW
ip netns exec PSnat nft add table ip wall
ip netns exec PSnat nft add chain ip wall pass { type filter hook forward priority 0; policy drop; }
ip netns exec PSnat nft add rule ip wall pass ct state established,related accept
ip netns exec PSnat nft add rule ip wall pass iifname lan accept
ip netns exec PSnat nft add chain ip wall self { type filter hook input priority 0; policy accept; }
ip netns exec PSnat nft add rule ip wall self ct state established,related accept
ip netns exec PSnat nft add rule ip wall self iifname wan drop
`

// networks counts those that were made: scripts run at the same time.
var networks atomic.Int32

// cmdNAT makes the networks of natPlan for the length of the script and sets
// PUB, LEFT and RIGHT to the names of their hosts' namespaces. With "strict"
// the routers map every connection to another port, so that no hole can be
// punched. Scripts ask for the
// condition of the same name first.
func cmdNAT(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && (len(args) == 0 || len(args) == 1 && args[0] == "strict"), "nat [strict]")
	how := strings.Join(args, "")
	if how == "strict" {
		how = "random"
	}
	prefix := fmt.Sprintf("vs%d-%d", os.Getpid(), networks.Add(1))
	ts.Defer(func() { removeNetworks(ts, prefix) })
	plan := natPlan
	for i, side := range []string{"left", "right"} {
		plan += strings.NewReplacer("PS", "P"+side, " S ", " "+side+" ", "N", fmt.Sprint(i+2), "HOW", how).Replace(sidePlan)
	}
	runPlan(ts, strings.ReplaceAll(plan, "P", prefix))
	for _, host := range []string{"pub", "left", "right"} {
		ts.Setenv(strings.ToUpper(host), prefix+host)
	}
}

// canNAT tells whether this machine lets the test make networks.
func canNAT() bool {
	name := fmt.Sprintf("vs%dtry", os.Getpid())
	if exec.Command("ip", "netns", "add", name).Run() != nil {
		return false
	}
	err := exec.Command("ip", "netns", "exec", name, "nft", "add", "table", "ip", "nat").Run()
	return exec.Command("ip", "netns", "del", name).Run() == nil && err == nil
}

func removeNetworks(ts *testscript.TestScript, prefix string) {
	for _, name := range []string{"pub", "left", "leftnat", "right", "rightnat"} {
		if out, err := exec.Command("ip", "netns", "del", prefix+name).CombinedOutput(); err != nil {
			ts.Logf("remove namespace: %s", out)
		}
	}
}

// cmdRelayed waits until a node can be reached over its relay.
func cmdRelayed(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 1, "relayed HOME")
	until(ts, "a relayed address of "+args[0], func(ctx context.Context) bool {
		id, err := client(ts, args[0]).ID(ctx)
		return err == nil && slices.ContainsFunc(id.Addrs, func(a string) bool { return strings.Contains(a, "/p2p-circuit/") })
	})
}
