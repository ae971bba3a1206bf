// Package arch states which package may import which. It is policy, not a
// record: change it in a commit of its own that says why, never to mend a build.
package arch

import (
	"go/build"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/vidsync/vidsync"

// mayImport lists, for every package, what of ours it may import.
// One direction of flow: file, manifest, blockstore, protocol, exchange,
// assemble, transcribe; daemon wires, api speaks, cli translates.
var mayImport = map[string][]string{
	"manifest":         {},
	"blockstore":       {"manifest"},
	"protocol":         {"manifest", "protocol/internal/wire"},
	"exchange":         {"manifest"},
	"assemble":         {"manifest", "blockstore"},
	"transcribe":       {},
	"watch":            {},
	"hook":             {},
	"api":              {},
	"daemon":           {"manifest", "blockstore", "protocol", "exchange", "assemble", "transcribe", "watch", "hook", "api"},
	"cli":              {"api", "daemon"},
	"cmd/vidsync":      {"cli"},
	"packaging/docgen": {"cli"},
	"internal/arch":    {},
	// rig starts daemons; soak breaks them and sees what their users see.
	"internal/rig":  {"api"},
	"internal/soak": {"api", "internal/rig"},
	// bench measures from outside and looks inside where it must.
	"internal/bench": {"manifest", "blockstore", "protocol", "exchange", "assemble", "transcribe", "api", "daemon", "internal/rig"},

	"protocol/internal/wire": {}, // generated
}

// mayUse names the only packages that may import a costly dependency.
var mayUse = map[string][]string{
	"github.com/dgraph-io/badger": {"blockstore"},
	"github.com/libp2p/":          {"protocol", "daemon", "internal/bench"},
	"github.com/danielgtaylor/":   {"api"},
	"github.com/prometheus/":      {"daemon"},
	"github.com/spf13/":           {"cli"},
	"os/exec":                     {"transcribe", "hook", "internal/bench", "internal/rig"},
}

func TestImports(t *testing.T) {
	seen := 0
	for dir, pkg := range packages(t) {
		seen++
		allowed, ok := mayImport[dir]
		if !ok {
			t.Errorf("package %s has no row in mayImport", dir)
		}
		for _, imp := range pkg.Imports {
			if ours, ok := strings.CutPrefix(imp, module+"/"); ok && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s, which it may not", dir, ours)
			}
			for costly, owners := range mayUse {
				if strings.HasPrefix(imp, costly) && !slices.Contains(owners, dir) {
					t.Errorf("%s imports %s, which is for %v", dir, imp, owners)
				}
			}
		}
	}
	if seen < len(mayImport)-1 { // internal/arch itself has only tests
		t.Errorf("found %d packages, mayImport names %d", seen, len(mayImport))
	}
}

// packages finds every package of the module that has code besides tests.
func packages(t *testing.T) map[string]*build.Package {
	t.Helper()
	root := filepath.Join("..", "..")
	found := map[string]*build.Package{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if name := d.Name(); name == "testdata" || name == "tools" || name != ".." && strings.HasPrefix(name, ".") {
			return fs.SkipDir
		}
		pkg, err := build.ImportDir(path, 0)
		if _, none := err.(*build.NoGoError); none || err == nil && len(pkg.GoFiles) == 0 {
			return nil
		}
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, path)
		found[filepath.ToSlash(dir)] = pkg
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
