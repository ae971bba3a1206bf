package protocol_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(settled{m})
}

// settled gives goroutines time to end after the last test: goleak waits for
// half a second, and a busy machine takes longer.
type settled struct{ tests *testing.M }

func (s settled) Run() int {
	code := s.tests.Run()
	for end := time.Now().Add(longWait); code == 0 && goleak.Find() != nil && time.Now().Before(end); {
		continue
	}
	return code
}
