package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// TokenHandler guards h for use on a TCP port. A request must say
// Authorization: Bearer TOKEN. Its Host must be localhost, a loopback address
// or one of allowedHosts (names without port), so that no web page reaches the
// port under a name of its own (DNS rebinding), and a browser must not send it
// from another origin. An empty token lets nobody in.
func TokenHandler(h http.Handler, token string, allowedHosts []string) http.Handler {
	want := sha256.Sum256([]byte(token))
	origins := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !hostAllowed(r.Host, allowedHosts) {
			statusProblem(http.StatusMisdirectedRequest, Errorf(CodeRefused,
				"host %q is not served here; use localhost or allow it in the daemon's configuration", r.Host)).write(w)
			return
		}
		if err := origins.Check(r); err != nil {
			statusProblem(http.StatusForbidden, Errorf(CodeRefused, "%w", err)).write(w)
			return
		}
		// Hashes compare in constant time whatever the lengths.
		got := sha256.Sum256([]byte(bearer(r)))
		if token == "" || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="vidsync"`)
			statusProblem(http.StatusUnauthorized, Errorf(CodeRefused,
				"the token is missing or wrong; send it as: Authorization: Bearer TOKEN")).write(w)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// bearer is the token that a request carries, or "".
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// hostAllowed reports whether a Host header names this machine's loopback or
// one of allowed.
func hostAllowed(host string, allowed []string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	} else if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		name = host[1 : len(host)-1]
	}
	if strings.EqualFold(name, "localhost") {
		return true
	}
	if addr, err := netip.ParseAddr(name); err == nil && addr.Unmap().IsLoopback() {
		return true
	}
	return slices.ContainsFunc(allowed, func(a string) bool { return strings.EqualFold(a, name) })
}
