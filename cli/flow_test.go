package cli_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/cli"
)

// A list is printed in parts, without a seam.
func TestLongList(t *testing.T) {
	node := newFakeNode()
	node.videos = nil
	const videos = 2500
	for i := range videos {
		node.videos = append(node.videos, api.Video{CID: fmt.Sprintf("bafy%04d", i), Name: strings.Repeat("n", 1+i/1000), State: "whole", Added: day})
	}
	lines := strings.Split(strings.TrimSpace(run(t, cli.Nodes{Daemon: node}, nil, "ls").stdout), "\n")
	if len(lines) != videos+1 {
		t.Fatalf("%d lines, want a title and %d", len(lines), videos)
	}
	for i, line := range lines[1:] {
		want := fmt.Sprintf("bafy%04d  %s ", i, strings.Repeat("n", 1+i/1000))
		if !strings.HasPrefix(line, want) {
			t.Fatalf("line %d is %q", i, line)
		}
	}
	if n := strings.Count(run(t, cli.Nodes{Daemon: node}, nil, "ls", "--json").stdout, `{"message_type":"video"`); n != videos {
		t.Errorf("%d objects", n)
	}
	node.err = errors.New("it broke")
	if got := run(t, cli.Nodes{Daemon: node}, nil, "ls", "-q"); got.code == 0 {
		t.Errorf("exit code %d", got.code)
	}
}
