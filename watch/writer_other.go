//go:build !linux

package watch

func writerOf(string) writer { return writerUnknown }
