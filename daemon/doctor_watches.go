package daemon

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vidsync/vidsync/api"
)

// checkWatches looks for watched folders that cannot be watched, or of which
// not every change is heard at once.
func (n *Node) checkWatches(ctx context.Context) api.Check {
	c := api.Check{Name: "watched folders", State: checkOK}
	watches, err := n.Watches(ctx)
	if err != nil {
		c.State, c.Detail, c.Remedy = checkProblem, err.Error(), "look at the log"
		return c
	}
	for _, w := range watches {
		if w.State == watchUnavailable || w.State == watchFailed {
			c.State, c.Detail = checkWarning, fmt.Sprintf("%s: %s", w.Dir, w.Message)
			c.Remedy = fmt.Sprintf("bring it back and make it readable for this user, or: vidsync watch rm %s", w.Dir)
			return c
		}
	}
	if len(watches) == 0 {
		c.Detail = "none"
		return c
	}
	return checkInotify(len(watches), inotifyUsed("/proc/self/fdinfo"), "/proc/sys/fs/inotify")
}

// checkInotify holds what watching takes against the system's limits, which are
// files of limits.
func checkInotify(folders, used int, limits string) api.Check {
	c := api.Check{Name: "watched folders", State: checkOK}
	maxWatches, known := readLimit(filepath.Join(limits, "max_user_watches"))
	maxInstances, _ := readLimit(filepath.Join(limits, "max_user_instances"))
	c.Detail = fmt.Sprintf("%d, with all that is below %d of at most %d that inotify watches for this user", folders, used, maxWatches)
	switch {
	case !known:
		c.Detail = fmt.Sprintf("%d; this system does not say how many can be watched", folders)
	case used >= maxWatches/10*9:
		c.State = checkWarning
		c.Remedy = fmt.Sprintf("sysctl -w fs.inotify.max_user_watches=%d; folders beyond the limit are looked at once a minute", 4*maxWatches)
	case folders >= maxInstances:
		c.State, c.Detail = checkWarning, fmt.Sprintf("%d, but inotify watches at most %d for this user", folders, maxInstances)
		c.Remedy = fmt.Sprintf("sysctl -w fs.inotify.max_user_instances=%d; folders beyond the limit are looked at once a minute", 4*maxInstances)
	}
	return c
}

func readLimit(path string) (int, bool) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(data)))
	return n, err == nil
}

// inotifyUsed counts the folders that this process watches now.
func inotifyUsed(fdinfo string) int {
	files, _ := filepath.Glob(filepath.Join(fdinfo, "*"))
	used := 0
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err == nil { // else it was closed just now
			used += strings.Count(string(data), "inotify wd:")
		}
	}
	return used
}
