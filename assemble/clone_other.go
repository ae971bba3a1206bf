//go:build !linux

package assemble

import (
	"errors"
	"os"
)

func reflink(*os.File, int64, *os.File, int64, int64) error { return errors.ErrUnsupported }

func copyRange(*os.File, int64, *os.File, int64, int64) error { return errors.ErrUnsupported }

func isHole(*os.File, int64, int64) bool { return false }

func hasHole(*os.File, int64, int64) bool { return false }
