package daemon

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/transcribe"
)

func TestListInputs(t *testing.T) {
	dir := t.TempDir()
	transcript := transcribe.Transcript{Schema: "vidsync.transcript.v1", Language: "en", Source: transcribe.Source{Name: "my.talk.mp4"}}
	ours, err := transcript.Render("json")
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"my.talk.mp4": nil, "my.talk.en.json": ours, "my.json": []byte("{}"), "deep/other.mkv": nil,
		"deep/other.en.json": []byte("{}"), "half.mp4.part": nil, ".hidden/talk.mp4": nil, ".talk.mp4": nil,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	missing := filepath.Join(dir, "missing.mp4")
	files, failed := listInputs(t.Context(), []string{dir, missing})
	var got []string
	for _, f := range files {
		got = append(got, f.relative)
	}
	if want := []string{"deep/other.en.json", "deep/other.mkv", "my.json", "my.talk.mp4"}; !slices.Equal(got, want) {
		t.Errorf("inputs %v, want %v", got, want)
	}
	if len(failed) != 1 || failed[0].Path != missing || failed[0].Code != api.CodeNotFound {
		t.Errorf("failed: %+v", failed)
	}
}

func TestAddWantsAbsolutePaths(t *testing.T) {
	n := testNode(t)
	_, err := n.Add(t.Context(), api.AddRequest{Paths: []string{"talk.mp4"}}, nil)
	if api.CodeOf(err) != api.CodeUsage {
		t.Errorf("add: %v", err)
	}
}
