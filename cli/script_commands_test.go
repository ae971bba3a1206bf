package cli_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vidsync/vidsync/api"
)

// patience bounds every wait of a script.
const patience = 2 * time.Minute

// scriptCommands are what the scripts may say besides testscript's own words.
var scriptCommands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"code":    cmdCode,
	"line":    cmdLine,
	"random":  cmdRandom,
	"flip":    cmdFlip,
	"ruin":    cmdRuin,
	"hangup":  cmdHangup,
	"metric":  cmdMetric,
	"limited": cmdLimited,
	"ready":   cmdReady,
	"fetched": cmdFetched,
	"listed":  cmdListed,
	"gone":    cmdGone,
	"talk":    cmdTalk,
	"until":   cmdUntil,
}

func need(ts *testscript.TestScript, ok bool, usage string) {
	if !ok {
		ts.Fatalf("usage: %s", usage)
	}
}

func number(ts *testscript.TestScript, text string) int {
	n, err := strconv.Atoi(text)
	ts.Check(err)
	return n
}

// cmdCode runs a program that must end with an exit code.
func cmdCode(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) >= 2, "code N program [args...]")
	want, got := number(ts, args[0]), 0
	if exit, ok := errors.AsType[*exec.ExitError](ts.Exec(args[1], args[2:]...)); ok {
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// cmdLine puts a line of the last program's stdout into a variable.
func cmdLine(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 2, "line VAR N")
	lines := strings.Split(ts.ReadFile("stdout"), "\n")
	n := number(ts, args[1])
	if n < 1 || n > len(lines) {
		ts.Fatalf("stdout has %d lines", len(lines))
	}
	ts.Setenv(args[0], lines[n-1])
}

// cmdRandom makes a file of so many bytes, the same for the same seed.
func cmdRandom(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 3, "random FILE SIZE SEED")
	source := rand.NewChaCha8([32]byte{byte(number(ts, args[2]))})
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	defer f.Close()
	buf := make([]byte, 1<<20)
	for left := number(ts, args[1]); left > 0; left -= len(buf) {
		buf = buf[:min(len(buf), left)]
		source.Read(buf)
		_, err := f.Write(buf)
		ts.Check(err)
	}
}

// cmdFlip changes one byte of a file.
func cmdFlip(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 2, "flip FILE OFFSET")
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_RDWR, 0)
	ts.Check(err)
	defer f.Close()
	b, at := make([]byte, 1), int64(number(ts, args[1]))
	_, err = f.ReadAt(b, at)
	ts.Check(err)
	b[0] ^= 0xff
	_, err = f.WriteAt(b, at)
	ts.Check(err)
}

// cmdRuin overwrites the beginning of every file of a folder, as a failing disk
// might.
func cmdRuin(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 1, "ruin DIR")
	files, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), "*"))
	ts.Check(err)
	need(ts, len(files) > 0, "ruin a folder with files")
	for _, path := range files {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		ts.Check(err)
		_, err = f.WriteAt([]byte("not what was written"), 0)
		ts.Check(errors.Join(err, f.Close()))
	}
}

// cmdHangup sends SIGHUP to the daemon of a home, which is named as the daemon
// was told it.
func cmdHangup(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 1, "hangup HOME")
	ts.Check(ts.Exec("pkill", "-HUP", "-f", "vidsync --home "+args[0]+" daemon"))
}

// cmdMetric looks for a line in a daemon's metrics, which it gives on its socket.
func cmdMetric(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 2, "metric HOME REGEXP")
	socket := ts.MkAbs(filepath.Join(args[0], "vidsync.sock"))
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			path, err := api.SocketPath(socket)
			if err != nil {
				return nil, err
			}
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}}
	answer, err := client.Get("http://vidsync/metrics")
	ts.Check(err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	ts.Check(err)
	if !regexp.MustCompile("(?m)" + args[1]).Match(text) {
		ts.Fatalf("no %s in\n%s", args[1], text)
	}
}

// cmdLimited waits until a daemon sends at most so many bytes a second.
func cmdLimited(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 2, "limited HOME RATE")
	until(ts, "a limit of "+args[1], func(ctx context.Context) bool {
		l, err := client(ts, args[0]).Limit(ctx, api.LimitRequest{})
		return err == nil && l.Up == int64(number(ts, args[1]))
	})
}

// until asks again and again, until the answer is yes.
func until(ts *testscript.TestScript, what string, ask func(ctx context.Context) bool) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for !ask(ctx) {
		select {
		case <-ctx.Done():
			ts.Fatalf("waited %v for %s", patience, what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func client(ts *testscript.TestScript, home string) *api.Client {
	return api.NewClient(ts.MkAbs(home) + "/vidsync.sock")
}

// cmdReady waits until the daemon of a home answers.
func cmdReady(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 1, "ready HOME")
	until(ts, "the daemon of "+args[0], func(ctx context.Context) bool {
		_, err := client(ts, args[0]).Status(ctx)
		return err == nil
	})
}

// cmdFetched waits until a fetch that runs in a daemon has so many bytes.
func cmdFetched(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 2, "fetched HOME BYTES")
	until(ts, args[1]+" bytes", func(ctx context.Context) bool {
		jobs, err := client(ts, args[0]).Jobs(ctx)
		for _, j := range jobs {
			if err == nil && j.Progress != nil && j.Progress.Done >= int64(number(ts, args[1])) {
				return true
			}
		}
		return false
	})
}

// cmdUntil runs a program again and again until it succeeds.
func cmdUntil(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) >= 1, "until program [args...]")
	until(ts, strings.Join(args, " "), func(context.Context) bool { return ts.Exec(args[0], args[1:]...) == nil })
}

// cmdListed waits until a daemon has a video of that name whole.
func cmdListed(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 2, "listed HOME NAME")
	untilState(ts, args[0], args[1], "whole")
}

// cmdGone waits until a daemon has removed the file of a video of that name.
func cmdGone(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 2, "gone HOME NAME")
	untilState(ts, args[0], args[1], "removed")
}

func untilState(ts *testscript.TestScript, home, name, state string) {
	until(ts, name+" as "+state, func(ctx context.Context) bool {
		videos, err := api.Collect(client(ts, home).Videos(ctx))
		return err == nil && slices.ContainsFunc(videos, func(v api.Video) bool { return v.Name == name && v.State == state })
	})
}

// cmdTalk makes a video of nine seconds in which two sentences are spoken.
func cmdTalk(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 1, "talk FILE")
	ts.Check(ts.Exec("ffmpeg", "-nostdin", "-v", "error", "-y",
		"-f", "lavfi", "-i", "flite=text='the boy was there when the sun rose':voice=slt",
		"-f", "lavfi", "-i", "anullsrc=r=16000:cl=mono:d=1.5",
		"-f", "lavfi", "-i", "flite=text='thank you very much for watching and see you again next week':voice=slt",
		"-f", "lavfi", "-i", "testsrc=size=320x180:rate=10:d=9",
		"-filter_complex", "[1]asplit=2[s1][s2];[s1][0][s2][2]concat=n=4:v=0:a=1[a]",
		"-map", "3:v", "-map", "[a]", "-shortest", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p",
		"-c:a", "aac", ts.MkAbs(args[0])))
}
