package hook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// webhookTimeout bounds one request, its answer included.
	webhookTimeout = 30 * time.Second
	// maxAnswer is how much of an answer is read, in bytes.
	maxAnswer = 4 << 10
	// maxAfter is the longest pause that a receiver may ask for.
	maxAfter = time.Hour

	idleConnections = 4
	idleTimeout     = 30 * time.Second
)

// Webhook sends messages as POST requests to one URL. Redirects are not
// followed. It may be used by several goroutines at once.
type Webhook struct {
	url    *url.URL
	secret []byte
	agent  string
	client *http.Client
}

// NewWebhook makes a webhook of a URL that CheckURL finds right. Without a secret
// requests are not signed. The caller must Close it.
func NewWebhook(address string, secret []byte, agent string) (*Webhook, error) {
	u, err := parseURL(address)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: idleConnections,
		IdleConnTimeout:     idleTimeout,
		TLSHandshakeTimeout: webhookTimeout,
	}
	return &Webhook{url: u, secret: secret, agent: agent, client: &http.Client{
		Transport:     transport,
		Timeout:       webhookTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// CheckURL finds what is wrong with the URL of a webhook.
func CheckURL(text string) error {
	_, err := parseURL(text)
	return err
}

func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("not a URL; give one such as https://example.org/hook")
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return nil, errors.New("not the URL of a web server; give one such as https://example.org/hook")
	case u.User != nil:
		return nil, errors.New("has a user name or password in it; sign the requests instead, with hooks.secret-file")
	case u.Fragment != "":
		return nil, errors.New("has a # in it, and servers never see what follows one; leave it out")
	}
	return u, nil
}

// Close ends connections that rest. Send must not run.
func (w *Webhook) Close() { w.client.CloseIdleConnections() }

// String is where messages go, without what may be secret: the server alone.
func (w *Webhook) String() string { return w.url.Scheme + "://" + w.url.Host }

// Send sends a message and waits for the answer. Any answer of 200 to 299 means
// that it was taken. The error is a *Failure, or ctx's.
func (w *Webhook) Send(ctx context.Context, m Message) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url.String(), bytes.NewReader(m.Body))
	if err != nil {
		return &Failure{Err: err}
	}
	now := time.Now()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", w.agent)
	req.Header.Set("Webhook-Id", m.ID)
	req.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	if len(w.secret) > 0 {
		req.Header.Set("Webhook-Signature", sign(w.secret, m.ID, now, m.Body))
	}
	answer, err := w.client.Do(req)
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return &Failure{Unreachable: true, Err: w.withoutURL(err)}
	}
	defer answer.Body.Close()
	return judge(answer)
}

// withoutURL leaves out the URL, which may be a secret.
func (w *Webhook) withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	return fmt.Errorf("%s: %w", w, err)
}

// judge says what an answer means.
func judge(answer *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	code := answer.StatusCode
	if code >= 200 && code <= 299 {
		return nil // whatever came of the body
	}
	said := told(string(body))
	if err != nil {
		said = told(err.Error())
	}
	f := &Failure{Gone: code == http.StatusGone, After: retryAfter(answer.Header)}
	switch code {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		f.Unreachable = true
	}
	if code >= 300 && code <= 399 {
		said = "redirects are not followed; set hooks.url to where the server moved"
	}
	f.Err = fmt.Errorf("answer %s", strings.TrimSpace(strconv.Itoa(code)+" "+http.StatusText(code)))
	if said != "" {
		f.Err = fmt.Errorf("%w: %s", f.Err, said)
	}
	return f
}

// retryAfter is the pause that a receiver asks for, in seconds; 0 if it does not.
func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(min(seconds, int(maxAfter/time.Second))) * time.Second
}
