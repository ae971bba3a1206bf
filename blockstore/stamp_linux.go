package blockstore

import "syscall"

func modTime(st *syscall.Stat_t) int64    { return st.Mtim.Nano() }
func changeTime(st *syscall.Stat_t) int64 { return st.Ctim.Nano() }
