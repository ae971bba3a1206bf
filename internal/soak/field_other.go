//go:build !linux

package main

import (
	"context"
	"errors"
)

// link is a wire between two hosts; there is none here.
type link struct{}

func newLink(context.Context, int) (*link, error) {
	return nil, &leftOut{"hosts of its own are made on Linux only"}
}

func (*link) put(*node, int) {}

func (*link) set(context.Context, string) error { return errors.ErrUnsupported }

func (*link) remove() error { return nil }

// card is a memory card; there is none here.
type card struct{ dir string }

func newCard(context.Context, string, int64) (*card, error) {
	return nil, &leftOut{"cards are mounted on Linux only"}
}

func (*card) plugIn(context.Context) error { return errors.ErrUnsupported }

func (*card) pull(context.Context, bool) (string, error) { return "", errors.ErrUnsupported }

func (*card) remove() error { return nil }
