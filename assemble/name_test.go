package assemble_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/vidsync/vidsync/assemble"
)

func TestNumbered(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		n    int
		want string
	}{
		{"a.mp4", 1, "a.mp4"},
		{"a.mp4", 2, "a (2).mp4"},
		{"a", 3, "a (3)"},
		{".hidden", 2, ".hidden (2)"},
		{"a.tar.gz", 2, "a.tar (2).gz"},
		{"ends.", 2, "ends (2)."},
		{"ü.mp4", 12, "ü (12).mp4"},
		{"x." + strings.Repeat("e", 40), 2, "x." + strings.Repeat("e", 40) + " (2)"},
	}
	for _, tt := range tests {
		if got := assemble.Numbered(tt.name, tt.n); got != tt.want {
			t.Errorf("numbered(%q, %d) = %q, want %q", tt.name, tt.n, got, tt.want)
		}
	}
}

func TestPartName(t *testing.T) {
	t.Parallel()
	tests := []struct {
		final string
		n     int
		want  string
	}{
		{"a.mp4", 1, "a.mp4.part"},
		{"a.mp4", 2, "a.mp4.2.part"},
		{"a", 1, "a.part"},
		{"a (2).mp4", 1, "a (2).mp4.part"},
	}
	for _, tt := range tests {
		if got := assemble.PartName(tt.final, tt.n); got != tt.want {
			t.Errorf("partName(%q, %d) = %q, want %q", tt.final, tt.n, got, tt.want)
		}
	}
}

// However long a name is, what is made of it fits, is whole UTF-8 and keeps
// the extension.
func TestLongNamesFit(t *testing.T) {
	t.Parallel()
	for _, stem := range []string{strings.Repeat("a", 300), strings.Repeat("ü", 150), strings.Repeat("🎬", 70)} {
		for extra := range 8 {
			name := stem + strings.Repeat("x", extra) + ".mp4"
			for _, got := range []string{
				assemble.Numbered(name, 1), assemble.Numbered(name, 1000),
				strings.TrimSuffix(assemble.PartName(assemble.Numbered(name, 1), 1), ".part"),
			} {
				if len(got) > assemble.MaxNameBytes || !utf8.ValidString(got) || !strings.HasSuffix(got, ".mp4") {
					t.Errorf("made of a name of %d bytes: %d bytes, %q", len(name), len(got), got)
				}
			}
			if got := assemble.PartName(name, 1000); len(got) > assemble.MaxNameBytes || !strings.HasSuffix(got, ".mp4.1000.part") {
				t.Errorf("part name %q of %d bytes", got, len(got))
			}
		}
	}
}

func TestFetchUnderLongName(t *testing.T) {
	t.Parallel()
	store, s, dir := newStore(t), tiny(), t.TempDir()
	name := strings.Repeat("l", 251) + ".mp4"
	f := openFile(t, store, s, assemble.Target{Dir: dir, Name: name, Exact: true}, assemble.Config{})
	check(t, s.putAll(f))
	wantFile(t, finish(t, f), s.data)
	wantNames(t, dir, name)
}

func FuzzName(f *testing.F) {
	for _, name := range []string{"a.mp4", "", "..", "a/b", "a\nb", ".x", "\xff\xfe.mkv", strings.Repeat("é.", 200)} {
		f.Add(name, 2)
	}
	f.Fuzz(func(t *testing.T, name string, n int) {
		if n < 1 || n > 1000 || assemble.CheckName(assemble.Target{Name: name}) != nil {
			return
		}
		for _, got := range []string{assemble.Numbered(name, n), assemble.PartName(assemble.Numbered(name, n), n)} {
			if len(got) > assemble.MaxNameBytes {
				t.Fatalf("%q has %d bytes", got, len(got))
			}
			if filepath.Base(got) != got || got == "." || got == ".." {
				t.Fatalf("%q leaves its folder", got)
			}
		}
	})
}

func TestExclusiveRenames(t *testing.T) {
	t.Parallel()
	for name, rename := range map[string]func(old, path string) error{
		"rename": assemble.RenameExclusive,
		"link":   assemble.LinkExclusive,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			old, path := filepath.Join(dir, "old"), filepath.Join(dir, "new")
			check(t, os.WriteFile(old, []byte("old"), 0o644))
			check(t, os.WriteFile(path, []byte("new"), 0o644))
			wantErr(t, rename(old, path), fs.ErrExist)
			wantFile(t, path, []byte("new"))
			wantFile(t, old, []byte("old"))
			check(t, os.Remove(path))
			check(t, os.Symlink("nowhere", path))
			wantErr(t, rename(old, path), fs.ErrExist)
			check(t, os.Remove(path))
			check(t, rename(old, path))
			wantFile(t, path, []byte("old"))
			wantNames(t, dir, "new")
			wantErr(t, rename(old, filepath.Join(dir, "x")), fs.ErrNotExist)
			wantNames(t, dir, "new")
		})
	}
}
