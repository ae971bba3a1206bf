package daemon

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// maxScheduleEntries bounds a schedule: one change every half hour.
	maxScheduleEntries = 48

	scheduleExample = `"08:00,2M 19:00,off" or "08:00,up=2M,down=off 19:00,up=off"`
)

// Schedule says which rates hold at which time of the day. Its zero value says
// nothing. An entry holds from its time until the next one that speaks of the
// same direction, over midnight too.
type Schedule struct {
	entries []scheduleEntry // in the order of the day
}

// scheduleEntry is one change of rates.
type scheduleEntry struct {
	minute   int    // of the day, by the local clock
	up, down *int64 // bytes a second, 0 for off; nil: as before
}

// ParseSchedule reads a schedule as people write it: entries with spaces
// between them, each HH:MM,RATE for both directions or HH:MM,up=RATE,down=RATE.
// An empty text is a schedule that says nothing.
func ParseSchedule(text string) (Schedule, error) {
	var s Schedule
	fields := strings.Fields(text)
	if len(fields) > maxScheduleEntries {
		return s, fmt.Errorf("a schedule has at most %d entries, this one %d", maxScheduleEntries, len(fields))
	}
	for _, field := range fields {
		e, err := parseScheduleEntry(field)
		if err != nil {
			return Schedule{}, fmt.Errorf("%w, in entry %q; write a schedule like %s", err, field, scheduleExample)
		}
		if slices.ContainsFunc(s.entries, func(other scheduleEntry) bool { return other.minute == e.minute }) {
			return Schedule{}, fmt.Errorf("two entries are for %s; write one, with up= and down= if they differ", e.clock())
		}
		s.entries = append(s.entries, e)
	}
	slices.SortFunc(s.entries, func(a, b scheduleEntry) int { return cmp.Compare(a.minute, b.minute) })
	return s, nil
}

func parseScheduleEntry(text string) (scheduleEntry, error) {
	parts := strings.Split(text, ",")
	at, err := time.Parse("15:04", parts[0])
	if err != nil || len(parts[0]) != len("15:04") {
		return scheduleEntry{}, fmt.Errorf("%q is not a time from 00:00 to 23:59", parts[0])
	}
	e := scheduleEntry{minute: at.Hour()*60 + at.Minute()}
	if len(parts) == 1 {
		return e, fmt.Errorf("no rate follows %s", parts[0])
	}
	for _, part := range parts[1:] {
		if err := e.take(part, len(parts) == 2); err != nil {
			return e, err
		}
	}
	return e, nil
}

// take adds one RATE, up=RATE or down=RATE to the entry. A bare rate is for
// both directions and stands alone.
func (e *scheduleEntry) take(part string, alone bool) error {
	direction, text, named := strings.Cut(part, "=")
	if !named && !alone {
		return fmt.Errorf("%q says neither up= nor down=", part)
	}
	if !named {
		text = part
	}
	rate, err := ParseRate(text)
	if err != nil {
		return err
	}
	switch {
	case !named:
		e.up, e.down = &rate, &rate
	case direction == "up" && e.up == nil:
		e.up = &rate
	case direction == "down" && e.down == nil:
		e.down = &rate
	case direction == "up" || direction == "down":
		return fmt.Errorf("%s= is given twice", direction)
	default:
		return fmt.Errorf("%q is neither up nor down", direction)
	}
	return nil
}

// rates are what the schedule says for a moment; 0: no limit.
func (s Schedule) rates(now time.Time) (up, down int64) {
	up = s.rate(now, func(e scheduleEntry) *int64 { return e.up })
	down = s.rate(now, func(e scheduleEntry) *int64 { return e.down })
	return up, down
}

// rate is that of the last entry that speaks of a direction: of today or, early
// in the day, of the day before.
func (s Schedule) rate(now time.Time, of func(scheduleEntry) *int64) int64 {
	var today, before *int64
	for _, e := range s.entries {
		rate := of(e)
		if rate == nil {
			continue
		}
		before = rate
		if e.minute <= minuteOf(now) {
			today = rate
		}
	}
	if rate := cmp.Or(today, before); rate != nil {
		return *rate
	}
	return 0
}

// next is when the entry after now begins; zero if there are none.
func (s Schedule) next(now time.Time) time.Time {
	if len(s.entries) == 0 {
		return time.Time{}
	}
	day, e := 1, s.entries[0]
	if i := slices.IndexFunc(s.entries, func(e scheduleEntry) bool { return e.minute > minuteOf(now) }); i >= 0 {
		day, e = 0, s.entries[i]
	}
	return time.Date(now.Year(), now.Month(), now.Day()+day, e.minute/60, e.minute%60, 0, 0, now.Location())
}

func minuteOf(t time.Time) int { return t.Hour()*60 + t.Minute() }

// String is the schedule in the form that ParseSchedule reads.
func (s Schedule) String() string {
	var texts []string
	for _, e := range s.entries {
		texts = append(texts, e.String())
	}
	return strings.Join(texts, " ")
}

func (e scheduleEntry) clock() string { return fmt.Sprintf("%02d:%02d", e.minute/60, e.minute%60) }

func (e scheduleEntry) String() string {
	if e.up != nil && e.down != nil && *e.up == *e.down {
		return e.clock() + "," + FormatRate(*e.up)
	}
	text := e.clock()
	if e.up != nil {
		text += ",up=" + FormatRate(*e.up)
	}
	if e.down != nil {
		text += ",down=" + FormatRate(*e.down)
	}
	return text
}
