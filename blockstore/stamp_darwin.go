package blockstore

import "syscall"

func modTime(st *syscall.Stat_t) int64    { return st.Mtimespec.Nano() }
func changeTime(st *syscall.Stat_t) int64 { return st.Ctimespec.Nano() }
