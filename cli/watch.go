package cli

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vidsync/vidsync/api"
)

func newWatch(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "add what appears in folders by itself",
		Long: `A running daemon adds every video that appears in a watched folder, or below it,
as 'vidsync add' does: once it is finished, in place, with its path below the
folder. A file that is renamed there keeps its CID and is not read again.`,
		Args: groupArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newWatchAdd(a), newWatchRm(a), newWatchLs(a))
	return cmd
}

func newWatchAdd(a *app) *cobra.Command {
	var req api.AddWatchRequest
	var settle durationFlag
	var live bool
	var after int
	cmd := &cobra.Command{
		Use:   "add DIR",
		Short: "watch a folder",
		Long: `Watches a folder, from now on and for good. What is there already is added, too.
Folders in folders that are watched cannot be watched apart.

A file is finished when it was closed after writing and is left alone for a
second, or when it has not changed for the time of --settle. Hidden files, those
that end in .part, .partial, .tmp, .crdownload, .download or ~, and links are
passed over.

With --live a file is also offered while it grows, block by block of 32 MiB, once
the writer has passed them. Who follows this node has it soon after it is finished,
and a part of it that can be played before. Once it is finished every byte is read
again, so it does not matter what the recorder has gone back to and rewritten.

With --remove-after N a file that was added because its folder is watched is
deleted once N other trusted peers, or N of those that --remove-holder names, have
signed that they read every byte of it, and say at that moment that they hold it
still. A file that has changed since, or that somebody writes to, stays; so does
one that was brought back. It is off unless you ask for it.

For a folder that is watched already, the settings that are given change, for the
files that are there, too; all others stay. --remove-after 0 ends the deleting.

Without a daemon the folder is only stored, and watched once one runs.`,
		Example: `  vidsync watch add /srv/ingest
  vidsync watch add --remove-after 2 /srv/ingest
  vidsync watch add --remove-after 1 --remove-holder archive /srv/ingest
  vidsync watch add --glob '*.mxf' --glob '*.mov' --settle 1m /mnt/card`,
		Args: takes(1, 1, "one folder"),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Dir, req.Settle = args[0], time.Duration(settle)
			if cmd.Flags().Changed("live") {
				req.Live = &live
			}
			if cmd.Flags().Changed("remove-after") {
				req.RemoveAfter = &after
			}
			return a.runWatchAdd(cmd.Context(), req)
		},
	}
	cmd.Flags().StringArrayVar(&req.Glob, "glob", nil, "only names that match this `PATTERN`; repeat for more (default: the usual ones of video and audio)")
	cmd.Flags().Var(&settle, "settle", "how long a file must be unchanged to be finished (default 10s)")
	cmd.Flags().IntVar(&after, "remove-after", 0, "delete a file once `N` other peers hold it; 0: never (default)")
	cmd.Flags().StringArrayVar(&req.RemoveHolders, "remove-holder", nil, "only this `PEER` counts for --remove-after, by name or ID; repeat for more")
	cmd.Flags().BoolVar(&live, "live", false, "offer files to followers while they are still being recorded")
	return cmd
}

func (a *app) runWatchAdd(ctx context.Context, req api.AddWatchRequest) error {
	paths, err := absolute([]string{req.Dir})
	if err != nil {
		return err
	}
	req.Dir = paths[0]
	remote, err := a.runWatch(ctx, func(ctx context.Context, s session) (api.Watch, error) { return s.AddWatch(ctx, req) })
	if err == nil && !remote {
		a.hint("stored; nothing is added before a daemon runs: start one with 'vidsync daemon'")
	}
	return err
}

func newWatchRm(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "rm DIR",
		Short: "watch a folder no more",
		Long: `Ends the watching of a folder, which need not be there any more. What was added
stays, and so do the files.`,
		Example: `  vidsync watch rm /srv/ingest`,
		Args:    takes(1, 1, "one folder"),
		RunE: func(cmd *cobra.Command, args []string) error {
			paths, err := absolute(args)
			if err != nil {
				return err
			}
			_, err = a.runWatch(cmd.Context(), func(ctx context.Context, s session) (api.Watch, error) { return s.RemoveWatch(ctx, paths[0]) })
			return err
		},
	}
}

// runWatch does something with one watched folder, prints it, and tells whether
// a daemon did it.
func (a *app) runWatch(ctx context.Context, do func(context.Context, session) (api.Watch, error)) (remote bool, err error) {
	var w api.Watch
	err = a.withNode(ctx, need{}, func(ctx context.Context, s session) (err error) {
		remote = s.remote
		w, err = do(ctx, s)
		return err
	})
	if err != nil {
		return remote, err
	}
	return remote, a.answer("watch", w, w.Dir, clean(w.Dir))
}

func newWatchLs(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "ls",
		Short: "list watched folders",
		Long: `Lists the watched folders. STATE is watching, scanning (what is there is looked at),
unavailable (and since when), stopped (no daemon runs) or failed. ADDED counts the
videos that were added, LAST is when, REMOVED the files that were deleted by
--remove-after. Files that could not be added or removed are listed below; they are
tried again.`,
		Example: `  vidsync watch ls
  vidsync watch ls --json`,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runWatchLs(cmd.Context()) },
	}
}

func (a *app) runWatchLs(ctx context.Context) error {
	var watches []api.Watch
	err := a.withNode(ctx, need{}, func(ctx context.Context, s session) (err error) {
		watches, err = s.Watches(ctx)
		return err
	})
	if err != nil {
		return err
	}
	columns := []column{{title: "dir", free: true}, {title: "state"}, {title: "added", number: true}, {title: "last"},
		{title: "remove", free: true}, {title: "removed", number: true}, {title: "errors", number: true}, {title: "settle", number: true}, {title: "glob", free: true}}
	if err := rows(a, "watch", watches, func(w api.Watch) string { return w.Dir }, columns, watchCells); err != nil {
		return err
	}
	for _, w := range watches {
		for _, r := range w.Recording {
			if r.Message != "" {
				a.hint("%s: %s", r.Path, r.Message)
			}
		}
		for _, f := range w.Failed {
			a.hint("%s: %s", f.Path, f.Error)
		}
	}
	return nil
}

func watchCells(w api.Watch) []string {
	last, glob := "-", "video and audio"
	if w.Last != nil {
		last = date(w.Last.Time)
	}
	if len(w.Glob) > 0 {
		glob = clean(strings.Join(w.Glob, " "))
	}
	return []string{clean(w.Dir), watchState(w), fmt.Sprint(w.Added), last, removeCell(w), fmt.Sprint(w.Removed), fmt.Sprint(len(w.Failed)), seconds(w.Settle).String(), glob}
}

// removeCell says after how many receipts files are deleted, and whose.
func removeCell(w api.Watch) string {
	switch {
	case w.RemoveAfter == 0:
		return "never"
	case len(w.RemoveHolders) == 0:
		return fmt.Sprintf("after %d", w.RemoveAfter)
	}
	return fmt.Sprintf("after %d of %s", w.RemoveAfter, holderNames(w.RemoveHolders))
}

func holderNames(holders []api.RemovalHolder) string {
	var names []string
	for _, h := range holders {
		names = append(names, clean(cmp.Or(h.Name, h.PeerID)))
	}
	return strings.Join(names, ", ")
}

// whyRemoved says when a file was deleted here and who held it.
func whyRemoved(r *api.Removal) string {
	return fmt.Sprintf("removed from %s on %s, safe at %s then", clean(r.Path), date(r.Time), holderNames(r.Holders))
}

// watchState is a folder's state with why and since when, or what goes on.
func watchState(w api.Watch) string {
	text := clean(w.State)
	if w.Since != nil {
		text += " since " + date(*w.Since)
	}
	if w.Message != "" {
		text += ": " + clean(w.Message)
	}
	if len(w.Recording) > 0 {
		text += fmt.Sprintf(", %d being recorded", len(w.Recording))
	}
	if w.Adding != nil {
		text += fmt.Sprintf(", adding %d%%", percent(w.Adding.Done, w.Adding.Size))
	}
	return text
}
