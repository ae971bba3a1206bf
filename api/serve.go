package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeader         = 64 << 10 // bytes; a ticket in a path is under 8 KiB
	// drainTime is how long requests may go on undisturbed once Serve is to
	// end. Then their contexts end.
	drainTime = time.Second
	// shutdownTime is how long Serve waits for requests in all. Then their
	// connections are closed.
	shutdownTime = 5 * time.Second
)

// Serve answers requests on l with h until ctx ends, and closes l. Then it
// lets requests finish: after 1 s their contexts end, after 5 s their
// connections are closed. It returns nil if all requests finished, an error if
// some were cut off or l failed. Responses have no time limit, since streams
// last as long as their work. log takes what net/http has to say; nil discards
// it.
func Serve(ctx context.Context, l net.Listener, h http.Handler, log *slog.Logger) error {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	requests, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		BaseContext:       func(net.Listener) context.Context { return requests },
	}
	drained := make(chan error, 1) // one result; shutdown never blocks on it
	stop := context.AfterFunc(ctx, func() { drained <- shutdown(srv, cancel) })
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		if stop() {
			srv.Close()
		} else {
			<-drained
		}
		return fmt.Errorf("serve the API on %s: %w", l.Addr(), err)
	}
	return <-drained
}

// shutdown ends srv, politely as long as that lasts.
func shutdown(srv *http.Server, cancelRequests func()) error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	hurry := time.AfterFunc(drainTime, cancelRequests)
	defer hurry.Stop()
	if err := srv.Shutdown(ctx); err != nil {
		srv.Close()
		return fmt.Errorf("end the API: requests cut off after %s: %w", shutdownTime, err)
	}
	return nil
}
