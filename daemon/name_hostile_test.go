package daemon

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// hostileNames are what a peer may call a video, and no file may be called.
func hostileNames() []string {
	names := []string{
		"", ".", "..", "...", "/", `\`, "../x", "a/../../b", `..\..\x`, "/etc/passwd", "//host/share", "C:", "C:x", "x:stream",
		"a\x00b", "a\nb", "a\rb", "a\tb", "\x1b[2J", "a\x7f", "a\u0085b", "a\u009b31m", "a\u202eb", "a\u2066b", "a\u200bb", "a\ufeff", "a\u2028b", "a\u2029b",
		"\xff", "a\xc3", "\xed\xa0\x80", "a ", "a.", "a. .", " a", "\u00a0", ".hidden", ". hidden", "...hidden",
		"a?b", "a*b", `a"b`, "a<b>c", "a|b",
		strings.Repeat("a", 5000), strings.Repeat("a", 5000) + ".mp4", strings.Repeat("ü", 5000), strings.Repeat(".", 5000), strings.Repeat("../", 5000),
		strings.Repeat("a", 199) + ". and this is the rest", strings.Repeat("a", 198) + "  .longer than endings are", strings.Repeat("x.", 999),
		"a." + strings.Repeat(" ", 5000), strings.Repeat("a", 195) + strings.Repeat(" ", 50) + ".mp4",
	}
	for _, device := range []string{"con", "PRN", "Aux", "nul", "com1", "COM9", "com0", "lpt1", "LPT9", "com¹", "LPT³", "conin$", "CONOUT$"} {
		names = append(names, device, device+".mp4", device+" .mp4", " "+device, "."+device, device+".tar.gz", device+".")
	}
	return names
}

func unseen(r rune) bool {
	return unicode.In(r, unicode.C, unicode.Zl, unicode.Zp) && r != '\u200c' && r != '\u200d'
}

// whyUnsafe says what is wrong with a file name, or nothing.
func whyUnsafe(name string) string {
	stem, _, _ := strings.Cut(strings.ToUpper(name), ".")
	stem = strings.TrimRight(stem, " ")
	devices := strings.Fields("CON PRN AUX NUL CONIN$ CONOUT$")
	for _, port := range []string{"COM", "LPT"} {
		for _, digit := range "0123456789¹²³" {
			devices = append(devices, port+string(digit))
		}
	}
	switch {
	case name == "" || len(name) > maxFileName:
		return "length"
	case !utf8.ValidString(name):
		return "no text"
	case strings.ContainsAny(name, `/\:*?"<>|`):
		return "separators"
	case strings.ContainsFunc(name, unseen):
		return "characters that are not seen"
	case strings.HasPrefix(name, ".") || strings.TrimSpace(name) != name || strings.HasSuffix(name, "."):
		return "ends"
	}
	for _, d := range devices {
		if stem == d {
			return "device"
		}
	}
	return ""
}

func TestHostileNames(t *testing.T) {
	video := testVideo(t, 1).CID()
	for _, name := range hostileNames() {
		got := safeName(name, video)
		if why := whyUnsafe(got); why != "" {
			t.Errorf("safeName(%.40q) = %q: %s", name, got, why)
		}
		if again := safeName(got, video); again != got {
			t.Errorf("safeName(%.40q) = %q, and again %q", name, got, again)
		}
	}
	for _, name := range []string{"console.mp4", "com10.mp4", "lpt.mp4", "aux1.mp4", "nul_.mp4", "C4 – Studio (2).mov", "日本.mkv", "می\u200cخواهم.mp4"} {
		if got := safeName(name, video); got != name {
			t.Errorf("safeName(%q) = %q", name, got)
		}
	}
}

func FuzzSafeNameOnEverySystem(f *testing.F) {
	for _, name := range hostileNames() {
		f.Add(name)
	}
	video := testVideo(f, 1).CID()
	f.Fuzz(func(t *testing.T, name string) {
		got := safeName(name, video)
		if why := whyUnsafe(got); why != "" {
			t.Errorf("safeName(%q) = %q: %s", name, got, why)
		}
		if again := safeName(got, video); again != got {
			t.Errorf("safeName(%q) = %q, and again %q", name, got, again)
		}
	})
}
