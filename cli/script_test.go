package cli_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// scriptConditions are what a script can ask of the machine.
var scriptConditions = map[string]func() bool{
	"root": func() bool { return os.Geteuid() == 0 },
	"nat":  func() bool { return false },
}

// TestScript runs the scripts against the real program. Each has its own home
// and XDG folders below its work folder.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:  "testdata/script",
		Cmds: scriptCommands,
		Condition: func(cond string) (bool, error) {
			holds, ok := scriptConditions[cond]
			if !ok {
				return false, fmt.Errorf("unknown condition %q", cond)
			}
			return holds(), nil
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("VIDSYNC_HOME", env.WorkDir+"/home")
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("LANG", "C.UTF-8")
			return nil
		},
	})
}
