package daemon

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

func TestInviteList(t *testing.T) {
	path := filepath.Join(t.TempDir(), "invites.json")
	list := func() *inviteList {
		l, err := openInviteList(path)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	now := time.Now()
	secret, other := []byte("0123456789abcdef"), []byte("fedcba9876543210")
	if err := list().add(secret, openInvite{Expires: now.Add(time.Hour), Follow: true, Into: "/in"}, now); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		what   string
		secret []byte
		by     peer.ID
		at     time.Time
		ok     bool
	}{
		{"wrong secret", other, "a", now, false},
		{"too late", secret, "a", now.Add(2 * time.Hour), false},
		{"first", secret, "a", now, true},
		{"again, as the answer was lost", secret, "a", now, true},
		{"another peer", secret, "b", now, false},
	} {
		// The list is read anew each time: what counts is on disk.
		if open, err := list().redeem(step.secret, step.by, step.at); (err == nil) != step.ok || step.ok && open.Into != "/in" {
			t.Errorf("%s: %+v, %v", step.what, open, err)
		}
	}
}

func TestInvitesAreBounded(t *testing.T) {
	l, err := openInviteList(filepath.Join(t.TempDir(), "invites.json"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for i := range maxInvites {
		if err := l.add([]byte{byte(i)}, openInvite{Expires: now.Add(time.Hour)}, now); err != nil {
			t.Fatal(err)
		}
	}
	if l.add([]byte("one more"), openInvite{Expires: now.Add(time.Hour)}, now) == nil {
		t.Error("more invites than the limit are open")
	}
	if err := l.add([]byte("later"), openInvite{Expires: now.Add(5 * time.Hour)}, now.Add(2*time.Hour)); err != nil {
		t.Errorf("expired invites do not make room: %v", err)
	}
}

func someInvite(t testing.TB) parsedInvite {
	t.Helper()
	id, err := peer.Decode("12D3KooWHnW56F3Zgafd9XqBU8Z9PfmrLPLp396fbNVfhQsshKWa")
	if err != nil {
		t.Fatal(err)
	}
	addr := ma.StringCast("/ip4/192.0.2.7/tcp/4101")
	return parsedInvite{info: peer.AddrInfo{ID: id, Addrs: []ma.Multiaddr{addr}}, secret: make([]byte, inviteSecret), expires: time.Unix(1_900_000_000, 0)}
}

func FuzzInvite(f *testing.F) {
	text, err := someInvite(f).text()
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{text, text[:len(text)-3], invitePrefix, "vidsync1abc", "", text + "a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		i, err := parseInvite(text)
		if err != nil {
			return
		}
		again, err := i.text()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := parseInvite(again); err != nil || back.info.ID != i.info.ID || !back.expires.Equal(i.expires) {
			t.Errorf("%+v became %+v, %v", i, back, err)
		}
	})
}
