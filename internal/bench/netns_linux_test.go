package main

import (
	"errors"
	"os"
	"strings"
	"testing"
)

func TestNamespacesAreRemoved(t *testing.T) {
	l, err := newLAN(t.Context(), true)
	if s, ok := errors.AsType[*skipped](err); ok {
		t.Skip(s.reason)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer l.remove()
	if _, err := l.addHost(t.Context(), 10); err != nil {
		t.Error(err)
	}
	count := func() (n int) {
		entries, err := os.ReadDir("/run/netns")
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), l.name) {
				n++
			}
		}
		return n
	}
	if n := count(); n != 2 {
		t.Errorf("%d namespaces, want a hub and a host", n)
	}
	l.remove()
	if n := count(); n != 0 {
		t.Errorf("%d namespaces left", n)
	}
}
