//go:build !linux

package rig

import "syscall"

// apart keeps a process from the terminal's ^C, for it is ended in order.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
