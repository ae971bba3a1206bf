package api

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// trailerError is the trailer that carries an error which came after the first
// byte of a byte stream was sent: the code's number, a space, and the message
// as a quoted ASCII string.
const trailerError = "Vidsync-Error"

// maxTrailerMessage is how many characters of a message a trailer carries: Go
// clients refuse trailers over 4 KiB, and one character takes up to 10 bytes.
const maxTrailerMessage = 300

// serveBytes runs a node's method whose answer is bytes. Nothing is sent
// before the first byte, so that an early error is a problem like any other.
// A later one goes into the trailer if the client takes trailers (TE:
// trailers); for others the connection is cut, lest they take a part for the
// whole.
func serveBytes(w http.ResponseWriter, r *http.Request, contentType string, run func(io.Writer) error) {
	out := &byteStream{w: w, contentType: contentType}
	err := run(out)
	switch {
	case err == nil:
		out.start()
	case !out.started:
		newProblem(err).write(w)
	case takesTrailers(r):
		w.Header().Set(trailerError, formatTrailer(failure(err)))
	default:
		panic(http.ErrAbortHandler)
	}
}

// byteStream sends the header before the first byte.
type byteStream struct {
	w           http.ResponseWriter
	contentType string
	started     bool
}

func (b *byteStream) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	b.start()
	return b.w.Write(p)
}

func (b *byteStream) start() {
	if b.started {
		return
	}
	b.started = true
	b.w.Header().Set("Content-Type", b.contentType)
	b.w.Header().Set("X-Content-Type-Options", "nosniff")
	b.w.Header().Set("Trailer", trailerError)
	b.w.WriteHeader(http.StatusOK)
}

// takesTrailers reports whether the client said TE: trailers.
func takesTrailers(r *http.Request) bool {
	for _, te := range strings.Split(r.Header.Get("Te"), ",") {
		if strings.EqualFold(strings.TrimSpace(te), "trailers") {
			return true
		}
	}
	return false
}

func formatTrailer(e *Error) string {
	message := e.Message
	if runes := []rune(message); len(runes) > maxTrailerMessage {
		message = string(runes[:maxTrailerMessage]) + "..."
	}
	return fmt.Sprintf("%d %s", e.Code, strconv.QuoteToASCII(message))
}

// parseTrailer is the error in a trailer, nil if there is none.
func parseTrailer(s string) error {
	if s == "" {
		return nil
	}
	number, quoted, _ := strings.Cut(s, " ")
	code, err := strconv.Atoi(number)
	if err != nil || code == 0 {
		code = int(CodeOther)
	}
	message, err := strconv.Unquote(quoted)
	if err != nil {
		message = "the daemon gave up in the middle of the answer: " + strconv.Quote(s)
	}
	return &Error{Code: Code(code), Message: message}
}
