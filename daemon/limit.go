package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/vidsync/vidsync/api"
)

// scheduleCheck is how often the schedule is held against the clock on the
// wall, which may jump.
const scheduleCheck = 10 * time.Second

// LimitConfig is how fast pieces may leave and come, as people write it: see
// ParseRate and ParseSchedule. Empty texts set no limit.
type LimitConfig struct {
	Up, Down, Schedule string
}

// limitRule is a LimitConfig that was understood.
type limitRule struct {
	up, down int64 // bytes a second, whatever the time; 0: no limit
	schedule Schedule
}

func (c LimitConfig) parse() (r limitRule, err error) {
	if r.up, err = parseRateOrNone(c.Up); err != nil {
		return r, fmt.Errorf("up: %w", err)
	}
	if r.down, err = parseRateOrNone(c.Down); err != nil {
		return r, fmt.Errorf("down: %w", err)
	}
	if r.schedule, err = ParseSchedule(c.Schedule); err != nil {
		return r, fmt.Errorf("schedule: %w", err)
	}
	return r, nil
}

func parseRateOrNone(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	return ParseRate(text)
}

// rates are what holds at a moment: of the rule's own and the schedule's, the
// lower.
func (r limitRule) rates(now time.Time) (up, down int64) {
	up, down = r.schedule.rates(now)
	return lowerRate(r.up, up), lowerRate(r.down, down)
}

// lowerRate is the stricter of two rates, of which 0 is none.
func lowerRate(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// ownLimits is what `vidsync limit` set: it goes before the configuration. nil
// leaves that in force. It is also the form of the file.
type ownLimits struct {
	Up       *string `json:"up,omitempty"`
	Down     *string `json:"down,omitempty"`
	Schedule *string `json:"schedule,omitempty"`
}

// over is the configuration with what the user set in its place.
func (o ownLimits) over(c LimitConfig) LimitConfig {
	for _, f := range []struct {
		own *string
		in  *string
	}{{o.Up, &c.Up}, {o.Down, &c.Down}, {o.Schedule, &c.Schedule}} {
		if f.own != nil {
			*f.in = *f.own
		}
	}
	return c
}

// limits hold the flow of pieces to what the user set, else to what the
// configuration says.
type limits struct {
	path     string
	config   LimitConfig
	up, down *pacer
	log      *slog.Logger

	mu   sync.Mutex
	own  ownLimits
	rule limitRule
}

func openLimits(path string, config LimitConfig, log *slog.Logger) (*limits, error) {
	l := &limits{path: path, config: config, up: newPacer(), down: newPacer(), log: log}
	if _, err := config.parse(); err != nil {
		return nil, api.Errorf(api.CodeUsage, "limit.%w", err)
	}
	data, err := readSmallFile(path)
	if err == nil {
		err = l.decode(data)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("limits in %s: %w", path, err)
	}
	if l.rule, err = l.own.over(config).parse(); err != nil {
		return nil, fmt.Errorf("limits in %s: %w; mend or delete it", path, err)
	}
	l.apply(time.Now())
	return l, nil
}

func (l *limits) decode(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&l.own); err != nil {
		return fmt.Errorf("%w; mend or delete the file", err)
	}
	return nil
}

// run keeps to the schedule until ctx ends.
func (l *limits) run(ctx context.Context) error {
	tick := time.NewTicker(scheduleCheck)
	defer tick.Stop()
	for {
		l.apply(time.Now())
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// apply makes the rates of a moment hold.
func (l *limits) apply(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	up, down := l.rule.rates(now)
	l.up.set(up)
	l.down.set(down)
}

// change takes over what a request sets, once it is on disk.
func (l *limits) change(req api.LimitRequest) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	own := l.own
	if req.Reset {
		own = ownLimits{}
	}
	for _, f := range []struct{ set, own **string }{{&req.Up, &own.Up}, {&req.Down, &own.Down}, {&req.Schedule, &own.Schedule}} {
		if *f.set != nil {
			*f.own = *f.set
		}
	}
	rule, err := own.over(l.config).parse()
	if err != nil {
		return api.Errorf(api.CodeUsage, "%w", err)
	}
	if err := l.save(own); err != nil {
		return fmt.Errorf("store limits: %w", err)
	}
	l.own, l.rule = own, rule
	l.log.Info("limits changed", "up", FormatRate(rule.up), "down", FormatRate(rule.down), "schedule", rule.schedule)
	return nil
}

// save writes the file, or deletes it if it would say nothing.
func (l *limits) save(own ownLimits) error {
	if own == (ownLimits{}) {
		if err := os.Remove(l.path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	data, err := json.MarshalIndent(own, "", "  ")
	if err != nil {
		return err
	}
	return writeSmallFile(l.path, data)
}

// listed is what holds now, for the user.
func (l *limits) listed(now time.Time) api.Limits {
	l.mu.Lock()
	defer l.mu.Unlock()
	up, down := l.rule.rates(now)
	out := api.Limits{
		Up: up, Down: down, SetUp: l.rule.up, SetDown: l.rule.down,
		Schedule: l.rule.schedule.String(), Own: l.own != ownLimits{},
	}
	if next := l.rule.schedule.next(now); !next.IsZero() {
		out.NextChange = &next
	}
	return out
}

// Limit changes how fast pieces may leave and come, and returns what holds
// then.
func (n *Node) Limit(_ context.Context, req api.LimitRequest) (api.Limits, error) {
	if req != (api.LimitRequest{}) {
		if err := n.limits.change(req); err != nil {
			return api.Limits{}, err
		}
		n.limits.apply(time.Now())
	}
	return n.limits.listed(time.Now()), nil
}
