package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/vidsync/vidsync/api"
)

var fetching = api.Progress{
	Phase: "fetching", Name: "opening-talk-2026.mp4", Done: 6.2e9, Size: 10e9, BytesPerSecond: 112e6, ETASeconds: 34,
	Peers: []api.PeerShare{{PeerID: "12D3KooWAAAAAAstage2", Bytes: 4e9}, {PeerID: "12D3KooWBBBBBBcam001", Bytes: 2.2e9}},
}

// viewOf is a state that was reported just now, 12 s after the call began.
func viewOf(p api.Progress) view {
	now := time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC)
	return view{latest: p, reports: 1, now: now, began: now.Add(-12 * time.Second), phase: now.Add(-12 * time.Second), news: now}
}

func TestFrame(t *testing.T) {
	unicode, ascii := style{unicode: true}, style{}
	stale := viewOf(fetching)
	stale.news = stale.now.Add(-5 * time.Second)
	waiting := viewOf(api.Progress{Phase: "connecting", Name: "t.mp4", Message: "no peer has\x1b[2J it yet", ETASeconds: -1})
	silent := viewOf(api.Progress{})
	silent.reports = 0
	unsized := viewOf(api.Progress{Phase: "reading", Done: 5e6, BytesPerSecond: 1e6, ETASeconds: -1})
	transcribing := viewOf(api.Progress{Phase: "transcribing", Name: "t.mp4", Done: 425e3, Size: 3723e3, BytesPerSecond: 8300, ETASeconds: 397})
	wide := viewOf(fetching)
	wide.latest.Name = strings.Repeat("長", 40)
	for _, test := range []struct {
		name  string
		view  view
		style style
		width int
		want  []string
	}{
		{"wide", viewOf(fetching), unicode, 119, []string{
			"⠋ fetching  opening-talk-2026.mp4  ━━━━━━━━━━━━━━━━━━━━━━━━╸───────────────   62%  6.2/10 GB  112 MB/s  34s left",
			"  2 peers: …stage2 64%, …cam001 35%"}},
		{"80 columns", viewOf(fetching), unicode, 79, []string{
			"⠋ fetching  opening-talk-20…  ━━━━━━━─────   62%  6.2/10 GB  112 MB/s  34s left",
			"  2 peers: …stage2 64%, …cam001 35%"}},
		{"60 columns", viewOf(fetching), unicode, 59, []string{
			"⠋ fetching  opening-talk-2026.mp4  ━━━━╸───   62%  34s left",
			"  2 peers: …stage2 64%, …cam001 35%"}},
		{"40 columns", viewOf(fetching), unicode, 39, []string{
			"⠋ fetching  opening-ta…   62%  34s left",
			"  2 peers: …stage2 64%, …cam001 35%"}},
		{"20 columns", viewOf(fetching), unicode, 19, []string{
			"⠋ fetching   62%",
			"  2 peers: …stage2…"}},
		{"8 columns", viewOf(fetching), unicode, 7, []string{
			"⠋ fetc…",
			"  2 pe…"}},
		{"no columns", viewOf(fetching), unicode, 0, []string{"", ""}},
		{"ascii", viewOf(fetching), ascii, 79, []string{
			"| fetching  opening-talk-2..  [======    ]   62%  6.2/10 GB  112 MB/s  34s left",
			"  2 peers: ..stage2 64%, ..cam001 35%"}},
		{"no news", stale, unicode, 79, []string{
			"⠋ fetching  opening-talk-2026.mp4  ━━━━━━━─────   62%  112 MB/s  no news for 5s",
			"  2 peers: …stage2 64%, …cam001 35%"}},
		{"waiting", waiting, unicode, 79, []string{
			"⠋ connecting  t.mp4  12s",
			"  no peer has?[2J it yet"}},
		{"silent", silent, unicode, 79, []string{
			"⠋ working  12s"}},
		{"size unknown", unsized, unicode, 79, []string{
			"⠋ reading  5.0 MB  1.0 MB/s  12s"}},
		{"transcribing", transcribing, unicode, 79, []string{
			"⠋ transcribing  t.mp4  ━╸────────────   11%  7:05/1:02:03      8.3x  6m37s left"}},
		{"wide letters", wide, unicode, 79, []string{
			"⠋ fetching  長長長長長長長…  ━━━━━━━─────   62%  6.2/10 GB  112 MB/s  34s left",
			"  2 peers: …stage2 64%, …cam001 35%"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := frame(test.view, test.width, test.style)
			if strings.Join(got, "\n") != strings.Join(test.want, "\n") {
				t.Errorf("got:\n%q\nwant:\n%q", got, test.want)
			}
		})
	}
}

// TestFrameFits: no line is ever wider than the terminal, whatever is reported.
func TestFrameFits(t *testing.T) {
	for _, p := range []api.Progress{
		fetching,
		{Phase: "hashing", Name: strings.Repeat("x", 300), Size: 1, Done: 5, ETASeconds: 1e300, BytesPerSecond: 1e300},
		{Phase: "hashing", Size: 1 << 62, Done: -5, ETASeconds: -1},
		{Phase: strings.Repeat("長", 50), Message: strings.Repeat("長", 200)},
	} {
		for width := range 200 {
			for _, st := range []style{{unicode: true}, {}} {
				for _, line := range frame(viewOf(p), width, st) {
					if text.StringWidth(line) > width {
						t.Fatalf("%d columns for %q", width, line)
					}
				}
			}
		}
	}
}

// TestScreen watches what reaches a terminal while a call goes on.
func TestScreen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out screenText
		a := screenApp(&out)
		p := a.startProgress(t.Context(), need{})
		p.report(fetching)
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		if out.String() != "" {
			t.Errorf("a short call draws %q", out.String())
		}
		time.Sleep(10*time.Second - 200*time.Millisecond)
		synctest.Wait()
		frames := strings.Count(out.String(), hideCursor)
		if frames < 90 || frames > 100 {
			t.Errorf("%d frames in 10 s, want at most 10 a second", frames)
		}
		if !strings.Contains(out.String(), "no news for 5s") {
			t.Error("it is not said that there is no news")
		}
		out.Reset()
		fmt.Fprintln(a.stderr, "a log line")
		if want := eraseLine + lineUp + eraseLine + showCursor + "a log line\n"; out.String() != want {
			t.Errorf("a log line among frames: %q, want %q", out.String(), want)
		}
		time.Sleep(frameInterval)
		if err := p.stop(); err != nil {
			t.Error(err)
		}
		if end := out.String(); !strings.HasSuffix(end, eraseLine+lineUp+eraseLine+showCursor) {
			t.Errorf("the screen is left with %q", end)
		}
	})
}

// TestScreenSilent: a call that reports nothing shows a sign of life within 2 s.
func TestScreenSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out screenText
		p := screenApp(&out).startProgress(t.Context(), need{})
		time.Sleep(silentTime - frameInterval)
		synctest.Wait()
		if out.String() != "" {
			t.Errorf("drawn too early: %q", out.String())
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if !strings.Contains(out.String(), "working") {
			t.Errorf("no sign of life in %q", out.String())
		}
		p.stop()
	})
}

// screenText is what reached a terminal, to be looked at meanwhile.
type screenText struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *screenText) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *screenText) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func (s *screenText) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.b.Reset()
}

func screenApp(out io.Writer) *app {
	a := newApp(nil, io.Discard, out, []string{"LANG=C.UTF-8"})
	a.global.progress = progressAuto
	a.screen = func(io.Writer) screen { return screen{terminal: true, width: 80} }
	return a
}

func TestPlain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		a := newApp(nil, io.Discard, &out, nil)
		a.global.progress = progressAuto
		p := a.startProgress(t.Context(), need{})
		report := func(done int64, wait time.Duration) {
			now := fetching
			now.Done, now.Name = done*1e8, "a\nb"
			p.report(now)
			time.Sleep(wait)
			synctest.Wait()
		}
		report(1, 500*time.Millisecond) // too early
		report(2, time.Second)          // a new phase
		report(6, time.Second)          // only 4 %
		report(8, time.Second)          // 6 %
		report(9, 30*time.Second)       // nothing: a line every 10 s
		p.stop()
		want := `fetching a?b: 2%, 200 MB/10 GB, 112 MB/s, 34s left, 2 peers: ..stage2 64%, ..cam001 35%
fetching a?b: 8%, 800 MB/10 GB, 112 MB/s, 34s left, 2 peers: ..stage2 64%, ..cam001 35%
`
		got := out.String()
		if !strings.HasPrefix(got, want) || strings.Count(got, "\n") != 2+3 || !strings.Contains(got, "no news for") {
			t.Errorf("got:\n%s\nwant first:\n%s", got, want)
		}
	})
}

// TestJSON: at most 4 objects a second, and the last report is not lost.
func TestJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		a := newApp(nil, &out, io.Discard, nil)
		a.global.json, a.global.progress = true, progressAuto
		p := a.startProgress(t.Context(), need{stream: true})
		for i := range 500 {
			p.report(api.Progress{Phase: "fetching", Done: int64(i), Size: 1000})
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(jsonInterval)
		synctest.Wait()
		p.stop()
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) < 15 || len(lines) > 21 {
			t.Errorf("%d objects in 5 s, want at most 4 a second", len(lines))
		}
		var last struct {
			MessageType string `json:"message_type"`
			Done        int64
			Peers       []api.PeerShare
		}
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
			t.Fatal(err)
		}
		if last.MessageType != "progress" || last.Done != 499 || last.Peers == nil {
			t.Errorf("last object is %+v", last)
		}
	})
}

// TestPainter checks which mode shows what where.
func TestPainter(t *testing.T) {
	for _, test := range []struct {
		mode           progressMode
		terminal, dumb bool
		quiet, json    bool
		need           need
		want           string
	}{
		{mode: progressAuto, terminal: true, want: "*cli.screenPainter"},
		{mode: progressAuto, terminal: true, dumb: true, want: "*cli.plainPainter"},
		{mode: progressAuto, want: "*cli.plainPainter"},
		{mode: progressPlain, terminal: true, want: "*cli.plainPainter"},
		{mode: progressJSON, want: "*cli.jsonPainter"},
		{mode: progressOff, terminal: true, want: "<nil>"},
		{mode: progressAuto, terminal: true, quiet: true, want: "<nil>"},
		{mode: progressAuto, terminal: true, need: need{draws: true}, want: "<nil>"},
		{mode: progressAuto, json: true, want: "<nil>"},
		{mode: progressAuto, json: true, terminal: true, want: "*cli.screenPainter"},
		{mode: progressAuto, json: true, need: need{stream: true}, want: "*cli.jsonPainter"},
		{mode: progressOff, json: true, need: need{stream: true}, want: "<nil>"},
	} {
		a := screenApp(io.Discard)
		a.global.progress, a.global.quiet, a.global.json = test.mode, test.quiet, test.json
		a.screen = func(io.Writer) screen { return screen{terminal: test.terminal, width: 80} }
		if test.dumb {
			a.env["TERM"] = "dumb"
		}
		if got := fmt.Sprintf("%T", a.painter(test.need)); got != test.want {
			t.Errorf("%+v: got %s, want %s", test, got, test.want)
		}
	}
}

func TestColor(t *testing.T) {
	for _, test := range []struct {
		env      map[string]string
		flag     bool
		terminal bool
		want     bool
	}{
		{terminal: true, want: true},
		{want: false},
		{terminal: true, flag: true, want: false},
		{terminal: true, env: map[string]string{"NO_COLOR": "1"}, want: false},
		{terminal: true, env: map[string]string{"TERM": "dumb"}, want: false},
		{env: map[string]string{"CLICOLOR_FORCE": "1"}, want: true},
		{env: map[string]string{"CLICOLOR_FORCE": "0"}, want: false},
		{env: map[string]string{"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, want: false},
	} {
		a := &app{env: test.env, screen: func(io.Writer) screen { return screen{terminal: test.terminal} }}
		a.global.noColor = test.flag
		if got := a.style(nil).paint(red, "x") != "x"; got != test.want {
			t.Errorf("%+v: colour is %v", test, got)
		}
	}
}

func TestSpan(t *testing.T) {
	for _, test := range []struct {
		d    time.Duration
		want string
	}{
		{-time.Second, "0s"}, {0, "0s"}, {42 * time.Second, "42s"}, {192 * time.Second, "3m12s"},
		{125 * time.Minute, "2h05m"}, {76 * time.Hour, "3d04h"},
	} {
		if got := span(test.d); got != test.want {
			t.Errorf("span(%v) is %s, want %s", test.d, got, test.want)
		}
	}
}

// TestQR: the code goes to standard error, and only where it fits.
func TestQR(t *testing.T) {
	for _, test := range []struct {
		width int
		want  string
	}{{80, "█"}, {20, "the terminal has 20 columns; the QR code needs "}} {
		var out bytes.Buffer
		a := newApp(nil, io.Discard, &out, nil)
		a.screen = func(io.Writer) screen { return screen{terminal: true, width: test.width} }
		if err := a.drawQR("vidsync1abcdefghijklmnopqrstuvwxyz234567"); err != nil || !strings.Contains(out.String(), test.want) {
			t.Errorf("%d columns: %v, got:\n%s", test.width, err, out.String())
		}
	}
}
