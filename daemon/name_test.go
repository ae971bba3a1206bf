package daemon

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSafeName(t *testing.T) {
	video := testVideo(t, 1).CID()
	byCID := video.String()
	tests := []struct{ name, want string }{
		{"talk.mp4", "talk.mp4"},
		{"Grüße aus Köln.mkv", "Grüße aus Köln.mkv"},
		{"../../etc/passwd", "_.._etc_passwd"},
		{"/etc/passwd", "_etc_passwd"},
		{`..\..\boot.ini`, `_.._boot.ini`},
		{"C:evil.mp4", "C_evil.mp4"},
		{"a\x00b\nc\x1b[31m.mp4", "a_b_c_[31m.mp4"},
		{"talk\u202e4pm.exe", "talk_4pm.exe"},
		{"\xff\xfe.mp4", "_.mp4"},
		{".hidden", "hidden"},
		{"trailing. . ", "trailing"},
		{"..", byCID},
		{".", byCID},
		{"", byCID},
		{"   ", byCID},
		{"CON", byCID},
		{"nul.mp4", byCID},
	}
	for _, tt := range tests {
		if got := safeName(tt.name, video); got != tt.want {
			t.Errorf("safeName(%q) = %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestSafeNameIsShort(t *testing.T) {
	video := testVideo(t, 1).CID()
	for _, name := range []string{strings.Repeat("a", 5000) + ".mp4", strings.Repeat("ü", 3000) + ".mkv", strings.Repeat("x.", 999)} {
		got := safeName(name, video)
		if len(got) > maxFileName || !utf8.ValidString(got) {
			t.Errorf("safeName of %d bytes has %d", len(name), len(got))
		}
	}
	if got := safeName(strings.Repeat("a", 5000)+".mp4", video); !strings.HasSuffix(got, ".mp4") {
		t.Errorf("the ending is lost: %q", got)
	}
}

func FuzzSafeName(f *testing.F) {
	for _, seed := range []string{"talk.mp4", "../..", "con", "\x00", strings.Repeat("ü", 300)} {
		f.Add(seed)
	}
	video := testVideo(f, 1).CID()
	f.Fuzz(func(t *testing.T, name string) {
		got := safeName(name, video)
		if got == "" || got == "." || got == ".." || strings.ContainsAny(got, "/\\\x00\n") || len(got) > maxFileName || !utf8.ValidString(got) {
			t.Errorf("safeName(%q) = %q", name, got)
		}
	})
}
