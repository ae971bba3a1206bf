//go:build !linux

package assemble

import "syscall"

// diskCodes are what a disk that fails or went away answers.
var diskCodes = []syscall.Errno{
	syscall.EIO, syscall.ENODEV, syscall.ENXIO, syscall.ESTALE, syscall.ENOTCONN, syscall.EHOSTDOWN,
}
