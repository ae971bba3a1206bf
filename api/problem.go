package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// maxDetails is how many of a request's faults its problem names.
const maxDetails = 5

// problem is an error as HTTP carries it: RFC 9457 problem details and the
// code. It is the one form in which a request that did not start can fail.
type problem struct {
	Title  string `json:"title" doc:"The HTTP status as text"`
	Status int    `json:"status"`
	Detail string `json:"detail" doc:"What failed, which one, and what to do next"`
	Code   Code   `json:"code" doc:"The kind of failure: 1 other, 2 usage, 3 partly done, 4 not found, 5 not possible for now, 6 content is wrong, 7 no daemon, 8 no space, 11 in use, 12 refused"`
}

// Error, GetStatus and ContentType let huma write a problem.
func (p *problem) Error() string               { return p.Detail }
func (p *problem) GetStatus() int              { return p.Status }
func (p *problem) ContentType(_ string) string { return "application/problem+json" }

// failure is err as an *Error. A node's context ends while the client is still
// there only because the daemon stops, so the client is told that.
func failure(err error) *Error {
	switch _, ours := errors.AsType[*Error](err); {
	case ours:
		return &Error{Code: CodeOf(err), Message: err.Error()}
	case errors.Is(err, context.Canceled):
		return Errorf(CodeUnavailable, "the daemon stopped before this was done; run the command again once it is back")
	case errors.Is(err, context.DeadlineExceeded):
		return Errorf(CodeUnavailable, "not done in time: %w", err)
	}
	return &Error{Code: CodeOther, Message: err.Error()}
}

// newProblem is the problem that tells of err.
func newProblem(err error) *problem {
	e := failure(err)
	return statusProblem(statusOf(e.Code), e)
}

// statusProblem is the problem that tells of e under a given HTTP status.
func statusProblem(status int, e *Error) *problem {
	return &problem{Title: http.StatusText(status), Status: status, Detail: e.Message, Code: e.Code}
}

// statusOf is the HTTP status of a code. Only programs that do not know the
// codes need it: the code itself crosses in the body.
func statusOf(c Code) int {
	switch c {
	case CodeUsage:
		return http.StatusBadRequest
	case CodeNotFound:
		return http.StatusNotFound
	case CodeUnavailable, CodeNoDaemon:
		return http.StatusServiceUnavailable
	case CodeNoSpace:
		return http.StatusInsufficientStorage
	case CodeInUse:
		return http.StatusConflict
	case CodeRefused:
		return http.StatusForbidden
	}
	return http.StatusInternalServerError
}

// write sends the problem as the whole response.
func (p *problem) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", p.ContentType(""))
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(p.Status)
	json.NewEncoder(w).Encode(p) // the client may be gone: nobody left to tell
}

// asProblem turns the errors that huma makes itself, for requests that do not
// fit their schema, into problems.
func asProblem(_ huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	code := CodeUsage
	if m.Status >= http.StatusInternalServerError {
		code = CodeOther
	}
	return statusProblem(m.Status, &Error{Code: code, Message: modelText(m)}), nil
}

// modelText says what huma found wrong. The values found are left out: they
// may be as large as the request.
func modelText(m *huma.ErrorModel) string {
	var faults []string
	for _, d := range m.Errors[:min(len(m.Errors), maxDetails)] {
		if d == nil {
			continue
		}
		fault := d.Message
		if d.Location != "" {
			fault = d.Location + ": " + fault
		}
		faults = append(faults, fault)
	}
	if len(faults) == 0 {
		return "the daemon does not accept this request: " + m.Detail
	}
	return "the daemon does not accept this request: " + strings.Join(faults, "; ")
}
