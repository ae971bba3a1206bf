package assemble_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// childEnv makes the test binary fetch a video in the folder it names, so that
// it can be killed.
const childEnv = "VIDSYNC_TEST_ASSEMBLE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		work := child
		if order := os.Getenv(killEnv); order != "" {
			work = func(dir string) error { return killChild(dir, order) }
		}
		if err := work(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}
