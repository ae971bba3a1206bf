package cli

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/vidsync/vidsync/api"
)

func newGC(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "gc",
		Short: "give back space of the index",
		Long: `Drops what no video needs any more from the index and gives its space back. No file
is touched. The daemon does this by itself now and then.`,
		Example: `  vidsync gc`,
		Args:    takes(0, 0, ""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runGC(cmd.Context()) },
	}
}

func (a *app) runGC(ctx context.Context) error {
	var freed api.Freed
	err := a.withNode(ctx, need{}, func(ctx context.Context, s session) (err error) {
		freed, err = s.GC(ctx)
		return err
	})
	if err != nil {
		return err
	}
	return a.answer("freed", freed, strconv.FormatInt(freed.Bytes, 10), "freed "+freedText(freed))
}

// freedText says how much a removal gave back.
func freedText(f api.Freed) string {
	return size(f.Bytes) + " and " + plural(f.IndexItems, "index item")
}
