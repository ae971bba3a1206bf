package api

import (
	"errors"
	"fmt"
)

// Code says what kind of failure an error is. The numbers are vidsync's exit
// codes; they never change meaning.
type Code int

// The codes. Zero is success and never stands in an Error.
const (
	CodeOther       Code = 1
	CodeUsage       Code = 2
	CodePartly      Code = 3
	CodeNotFound    Code = 4
	CodeUnavailable Code = 5 // for now; a retry may help
	CodeCorrupt     Code = 6
	CodeNoDaemon    Code = 7
	CodeNoSpace     Code = 8
	CodeInUse       Code = 11
	CodeRefused     Code = 12
)

// Error is a failure with its code. The message says what, which one, and
// what to do next.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
}

// Error is the message.
func (e *Error) Error() string { return e.Message }

// Errorf makes an Error. Like fmt.Errorf it takes %w, but nothing is wrapped:
// the cause's text becomes part of the message.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Errorf(format, args...).Error()}
}

// CodeOf is the code of err: CodeOther unless it holds an *Error, 0 for nil.
func CodeOf(err error) Code {
	if err == nil {
		return 0
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeOther
}
