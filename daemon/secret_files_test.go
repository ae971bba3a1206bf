package daemon

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/vidsync/vidsync/api"
)

// What a node keeps for itself can be read by its owner alone, and its log has
// neither its key nor the token in it.
func TestSecretsStayWithTheOwner(t *testing.T) {
	home := t.TempDir()
	at := func(name string) string { return filepath.Join(home, name) }
	var log bytes.Buffer
	running := make(chan struct{})
	n, err := Open(t.Context(), Config{
		Paths: Paths{
			Identity: at("identity.key"), Peers: at("peers.json"), Index: at("index"), Work: at("work"), Videos: at("videos"),
			Socket: at("s"), Lock: at("lock"), APIToken: at("api-token"), Limits: at("limits.json"), Banned: at("banned.json"),
			Damaged: at("damaged.json"), Revoked: at("revoked.json"), Invites: at("invites.json"),
		},
		Listen: []string{"/ip4/127.0.0.1/tcp/0"}, NoMDNS: true, NoTranscribe: true, Serve: true, API: "127.0.0.1:0",
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Ready:  func() { close(running) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	<-running
	_, _, m := addRandom(t, n, 10)
	ticket, _ := ticketFor(t, n, m.CID().String())
	_, liar := testKey(t)
	invite, err := n.Invite(t.Context(), api.InviteRequest{})
	if err == nil {
		_, err = n.Revoke(t.Context(), ticket)
	}
	if err == nil {
		_, err = n.AddPeer(t.Context(), api.AddPeerRequest{Addr: liar.String()})
	}
	if err == nil {
		_, err = n.Limit(t.Context(), api.LimitRequest{Up: new("1M")})
	}
	if err == nil {
		err = n.bans.add(ban{Peer: peer.ID(liar), Video: "v", Time: time.Now()})
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"identity.key", "peers.json", "revoked.json", "invites.json", "limits.json", "banned.json", "api-token", "lock", "s"} {
		info, err := os.Lstat(at(name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	raw, err := crypto.MarshalPrivateKey(n.key)
	if err != nil {
		t.Fatal(err)
	}
	token, err := os.ReadFile(at("api-token"))
	if err != nil || len(token) < 20 {
		t.Fatalf("token of %d bytes, %v", len(token), err)
	}
	seed := raw[4:36] // behind the type and length; the rest is the public key
	secrets := map[string][]byte{"token": token, "ticket": []byte(ticket), "invite": []byte(invite.Invite)}
	for name, form := range map[string]string{"raw": string(seed), "hex": hex.EncodeToString(seed), "base64": base64.StdEncoding.EncodeToString(seed)[:40]} {
		secrets["key, "+name] = []byte(form)
	}
	for name, secret := range secrets {
		if bytes.Contains(log.Bytes(), secret) {
			t.Errorf("%s is in the log", name)
		}
	}
	if log.Len() == 0 {
		t.Error("nothing was logged")
	}
}

// The API is not opened to other machines, where nothing hides its token.
func TestAPIStaysOnLoopback(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0", "example.org:0", "127.0.0.1"} {
		n := testNode(t)
		n.cfg.Listen, n.cfg.NoMDNS, n.cfg.Serve, n.cfg.API = []string{"/ip4/127.0.0.1/tcp/0"}, true, true, addr
		n.cfg.Paths.Socket, n.cfg.Paths.APIToken = filepath.Join(t.TempDir(), "s"), filepath.Join(t.TempDir(), "token")
		if err := n.Run(t.Context()); api.CodeOf(err) != api.CodeUsage {
			t.Errorf("--api %s: %v", addr, err)
		}
	}
}
