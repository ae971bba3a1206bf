package daemon_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(settled{m}, sweeper)
}

// sweeper is one goroutine that libp2p's bandwidth counters share, and which
// ends when they rest.
var sweeper = goleak.IgnoreAnyFunction("github.com/libp2p/go-flow-metrics.(*sweeper).run")

// settled gives goroutines time to end after the last test: goleak waits for
// half a second, and a busy machine takes longer.
type settled struct{ tests *testing.M }

func (s settled) Run() int {
	code := s.tests.Run()
	for end := time.Now().Add(patience); code == 0 && goleak.Find(sweeper) != nil && time.Now().Before(end); {
		continue
	}
	return code
}
