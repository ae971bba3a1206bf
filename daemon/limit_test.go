package daemon

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/protocol"
)

func TestParseRate(t *testing.T) {
	for text, want := range map[string]int64{
		"10M": 10e6, "500K": 500e3, "1.5M": 1.5e6, "2G": 2e9, "10MB/s": 10e6, "10m/s": 10e6, "16000": 16e3, "16k": 16e3, "20000B": 20e3, "off": 0,
	} {
		got, err := ParseRate(text)
		if err != nil || got != want {
			t.Errorf("%s: %d, %v, want %d", text, got, err, want)
		}
		if again, err := ParseRate(FormatRate(got)); err != nil || again != got {
			t.Errorf("%s is written as %s, which reads %d, %v", text, FormatRate(got), again, err)
		}
	}
	for _, text := range []string{"", "0", "M", "-5M", "+5M", "1e9", "10Mbit", "10MiB", "10 M", "1K", "15999", "Inf", "NaN", "9999G", "1.2.3M", "offf", "10M/s/s"} {
		if got, err := ParseRate(text); err == nil {
			t.Errorf("%q reads %d, want an error", text, got)
		}
	}
}

func TestParseScheduleErrors(t *testing.T) {
	for text, words := range map[string]string{
		"25:00,2M":              `"25:00"`,
		"8:00,2M":               `"8:00"`,
		"08:00":                 "no rate follows 08:00",
		"08:00,":                `""`,
		"08:00,fast":            `"fast"`,
		"08:00,2M,3M":           `"2M" says neither`,
		"08:00,up=2M,up=3M":     "up= is given twice",
		"08:00,in=2M":           `"in" is neither`,
		"08:00,2M 08:00,off":    "two entries are for 08:00",
		"08:00,up=2M,down=fast": `"fast"`,
	} {
		_, err := ParseSchedule(text)
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%q: %v, want it to say %s", text, err, words)
		}
	}
	if _, err := ParseSchedule(strings.Repeat("08:00,2M ", maxScheduleEntries+1)); err == nil {
		t.Error("a schedule over its limit is accepted")
	}
}

func FuzzParseSchedule(f *testing.F) {
	f.Add("08:00,2M 19:00,off")
	f.Add("08:00,up=2M,down=off 19:00,up=off")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSchedule(text)
		if err != nil {
			return
		}
		again, err := ParseSchedule(s.String())
		if err != nil || again.String() != s.String() {
			t.Errorf("%q is written as %q, which reads %q, %v", text, s, again, err)
		}
	})
}

func TestScheduleByTheClock(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	at := func(day, clock string) time.Time {
		at, err := time.ParseInLocation("2006-01-02 15:04", day+" "+clock, berlin)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	const plain, apart, spring, autumn = "2026-06-01", "2026-06-01", "2026-03-29", "2026-10-25"
	both, each, night := "08:00,2M 19:00,off", "08:00,up=500K 12:00,down=5M 19:00,up=off", "02:30,2M 12:00,off"
	again := at(autumn, "02:45").Add(time.Hour) // 02:45 comes twice
	for _, test := range []struct {
		schedule string
		now      time.Time
		up, down int64
		next     time.Time
	}{
		{both, at(plain, "07:59"), 0, 0, at(plain, "08:00")},
		{both, at(plain, "08:00"), 2e6, 2e6, at(plain, "19:00")},
		{both, at(plain, "23:00"), 0, 0, at("2026-06-02", "08:00")},
		{each, at(apart, "07:00"), 0, 5e6, at(apart, "08:00")}, // since yesterday noon
		{each, at(apart, "09:00"), 500e3, 5e6, at(apart, "12:00")},
		{"08:00,2M", at(plain, "03:00"), 2e6, 2e6, at(plain, "08:00")},
		{night, at(spring, "01:59"), 0, 0, at(spring, "02:30")},
		{night, at(spring, "01:59").Add(2 * time.Minute), 2e6, 2e6, at(spring, "12:00")}, // 03:01
		{night, again, 2e6, 2e6, at(autumn, "12:00")},
		{"", at(plain, "08:00"), 0, 0, time.Time{}},
	} {
		s, err := ParseSchedule(test.schedule)
		if err != nil {
			t.Fatal(err)
		}
		up, down := s.rates(test.now)
		if next := s.next(test.now); up != test.up || down != test.down || !next.Equal(test.next) {
			t.Errorf("%q at %v: up %d, down %d, next %v; want %d, %d, %v", test.schedule, test.now, up, down, next, test.up, test.down, test.next)
		}
	}
}

func testLimits(t *testing.T, path string, config LimitConfig) *limits {
	t.Helper()
	l, err := openLimits(path, config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLimitsLast(t *testing.T) {
	path := filepath.Join(t.TempDir(), "limits.json")
	config := LimitConfig{Up: "5M", Down: "8M"}
	l := testLimits(t, path, config)
	if got := l.listed(time.Now()); got != (api.Limits{Up: 5e6, Down: 8e6, SetUp: 5e6, SetDown: 8e6}) {
		t.Errorf("from the configuration: %+v", got)
	}
	if err := l.change(api.LimitRequest{Up: new("off"), Schedule: new("00:00,down=1M")}); err != nil {
		t.Fatal(err)
	}
	for _, l := range []*limits{l, testLimits(t, path, config)} {
		got := l.listed(time.Now())
		got.NextChange = nil
		if got != (api.Limits{Down: 1e6, SetDown: 8e6, Schedule: "00:00,down=1M", Own: true}) {
			t.Errorf("after a change: %+v", got)
		}
	}
	if err := l.change(api.LimitRequest{Up: new("2M"), Down: new("fast")}); api.CodeOf(err) != api.CodeUsage {
		t.Errorf("a wrong change: %v", err)
	}
	if got := l.listed(time.Now()); got.SetUp != 0 {
		t.Errorf("a wrong change left %+v", got)
	}
	if err := l.change(api.LimitRequest{Reset: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("after a reset the file is still there")
	}
	if got := l.listed(time.Now()); got.Up != 5e6 || got.Own {
		t.Errorf("after a reset: %+v", got)
	}
}

func TestDamagedLimits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "limits.json")
	for _, text := range []string{"{", `{"upp":"1M"}`, `{"up":"fast"}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := openLimits(path, LimitConfig{}, nil); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := openLimits(path+"x", LimitConfig{Up: "fast"}, nil); api.CodeOf(err) != api.CodeUsage || !strings.Contains(err.Error(), "limit.up") {
		t.Errorf("configuration: %v", err)
	}
}

func rateOf(p *pacer) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rate
}

// The rate changes by itself when an entry's time comes, and when the clock
// was set.
func TestScheduleTakesEffect(t *testing.T) {
	path := filepath.Join(t.TempDir(), "limits.json")
	synctest.Test(t, func(t *testing.T) {
		l := testLimits(t, path, LimitConfig{})
		soon := time.Now().Add(2 * time.Minute).Format("15:04")
		if err := l.change(api.LimitRequest{Schedule: new(soon + ",1M " + time.Now().Format("15:04") + ",3M")}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go l.run(ctx)
		synctest.Wait()
		if up, down := rateOf(l.up), rateOf(l.down); up != 3e6 || down != 3e6 {
			t.Errorf("at first up %d, down %d", up, down)
		}
		time.Sleep(2*time.Minute + scheduleCheck)
		synctest.Wait()
		if up, down := rateOf(l.up), rateOf(l.down); up != 1e6 || down != 1e6 {
			t.Errorf("later up %d, down %d", up, down)
		}
	})
}

func TestPacer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer()
		took := func(n int) time.Duration {
			start := time.Now()
			for range n {
				if err := p.WaitN(t.Context(), protocol.PaceBytes); err != nil {
					t.Fatal(err)
				}
			}
			return time.Since(start)
		}
		if d := took(1000); d != 0 {
			t.Errorf("without a limit it took %v", d)
		}
		p.set(minRate)
		if d := took(10); d < 36*time.Second || d > 42*time.Second { // the first passes at once
			t.Errorf("10 times 64 KiB at 16 KB/s took %v", d)
		}
		p.set(64 << 20)
		if d := took(1024); d < 800*time.Millisecond || d > time.Second {
			t.Errorf("64 MiB at 64 MiB/s took %v", d)
		}
	})
}

// Who waits hears of another rate.
func TestPacerChangesUnderWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer()
		p.set(minRate)
		done := make(chan error, 33)
		for range 33 { // the last would wait for over two minutes
			go func() { done <- p.WaitN(t.Context(), protocol.PaceBytes) }()
		}
		time.Sleep(time.Second)
		start := time.Now()
		p.set(0)
		for range 33 {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("waiters went on after %v", d)
		}
		p.set(minRate)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := p.WaitN(ctx, 10*protocol.PaceBytes); err == nil {
			t.Error("more than a burst passed")
		}
		p.WaitN(ctx, protocol.PaceBytes)
		if err := p.WaitN(ctx, protocol.PaceBytes); err != context.DeadlineExceeded {
			t.Errorf("after its deadline: %v", err)
		}
	})
}
