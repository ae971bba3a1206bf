package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/vidsync/vidsync/api"
)

func newAdd(a *app) *cobra.Command {
	var req api.AddRequest
	cmd := &cobra.Command{
		Use:   "add PATH...",
		Short: "offer files as videos",
		Long: `Hashes files, and the files below folders, and offers them to trusted peers and
holders of tickets. Nothing is copied: the bytes stay where they are, and a file
that changes later is no longer offered.

Prints 'CID  NAME' for each video. Inputs that cannot be read are reported and
the rest is added; the exit code is then 3.`,
		Example: `  vidsync add talk.mp4
  vidsync add --name "Opening talk" raw/0001.mkv
  vidsync add -q recordings/ > cids.txt`,
		Args: takes(1, -1, "at least one PATH"),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Paths = args
			return a.runAdd(cmd.Context(), req)
		},
	}
	cmd.Flags().StringVar(&req.Name, "name", "", "call the video `N`; for one file only")
	cmd.Flags().BoolVar(&req.Copy, "copy", false, "keep a copy in the videos folder, and offer that")
	return cmd
}

func (a *app) runAdd(ctx context.Context, req api.AddRequest) error {
	if req.Name != "" && len(req.Paths) > 1 {
		return usagef("--name is for one file, but %d paths are given", len(req.Paths))
	}
	paths, err := absolute(req.Paths)
	if err != nil {
		return err
	}
	req.Paths = paths
	var result api.AddResult
	err = a.withNode(ctx, need{}, func(ctx context.Context, s session) (err error) {
		result, err = s.Add(ctx, req, s.emit)
		return err
	})
	if err != nil {
		return err
	}
	for _, v := range result.Added {
		if err := a.answer("added", v, v.CID, v.CID+"  "+clean(v.Name)); err != nil {
			return err
		}
	}
	return a.addFailures(result)
}

// addFailures reports the inputs that failed and gives the command's error.
func (a *app) addFailures(result api.AddResult) error {
	for _, f := range result.Failed {
		if a.global.json {
			if err := a.printJSON(a.stderr, "failure", f); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(a.stderr, "vidsync: add %s: %s\n", clean(f.Path), cleanLines(f.Error))
	}
	added, failed := len(result.Added), len(result.Failed)
	switch {
	case failed == 0 && added == 0:
		return api.Errorf(api.CodeNotFound, "nothing to add: there are no files")
	case failed == 0:
		return nil
	case added > 0:
		return partly(failed, added+failed, "inputs could not be added")
	}
	code := result.Failed[0].Code
	for _, f := range result.Failed {
		if f.Code != code {
			code = api.CodeOther
		}
	}
	return api.Errorf(code, "nothing was added")
}

// absolute makes paths absolute: a node may run in another folder. Trailing
// separators stay, for they say that a folder is meant.
func absolute(paths []string) ([]string, error) {
	var all []string
	for _, path := range paths {
		if !utf8.ValidString(path) { // JSON, which the daemon is asked in, cannot carry it
			return nil, usagef("path %q is not valid UTF-8; rename it first", path)
		}
		abs, err := filepath.Abs(path)
		if err != nil {
			return nil, fmt.Errorf("path %s: %w", path, err)
		}
		if last := path[len(path)-1]; last == filepath.Separator && abs != path {
			abs += string(filepath.Separator)
		}
		all = append(all, abs)
	}
	return all, nil
}
