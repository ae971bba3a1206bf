package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	chunkSize  = 32 * mib
	uploads    = 4 // at once
	shaHeader  = "X-Chunk-Sha256"
	offsetName = "X-Chunk-Offset"
)

// httpsPart is the server of the baseline: it writes each chunk to its place
// in the file args[0] and refuses one whose SHA-256 is not as announced.
func httpsPart(ctx context.Context, args []string, out io.Writer) error {
	f, err := os.Create(args[0])
	if err != nil {
		return err
	}
	defer f.Close()
	cert, err := selfSigned()
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { takeChunk(f, w, r) }),
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}},
		ReadHeaderTimeout: time.Minute,
	}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	fmt.Fprintln(out, l.Addr(), base64.StdEncoding.EncodeToString(cert.Certificate[0]))
	if err := server.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func takeChunk(f *os.File, w http.ResponseWriter, r *http.Request) {
	offset, err := strconv.ParseInt(r.Header.Get(offsetName), 10, 64)
	if err == nil {
		hash := sha256.New()
		_, err = io.CopyBuffer(io.MultiWriter(hash, io.NewOffsetWriter(f, offset)), r.Body, make([]byte, mib))
		if err == nil && hex.EncodeToString(hash.Sum(nil)) != r.Header.Get(shaHeader) {
			err = errors.New("chunk has another SHA-256")
		}
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// runHTTPS uploads the file in chunks, four at once, until it is on disk.
func runHTTPS(ctx context.Context, b *bench) ([]figure, error) {
	path, err := b.video(int64(b.size))
	if err != nil {
		return nil, err
	}
	dir, remove, err := b.scratch("https")
	if err != nil {
		return nil, err
	}
	defer remove()
	dest := filepath.Join(dir, "uploaded")
	server, ready, err := b.startChild(ctx, nil, "https", dest)
	if err != nil {
		return nil, err
	}
	defer server.end()
	addr, cert, _ := strings.Cut(ready, " ")
	client, err := trusting(cert)
	if err != nil {
		return nil, err
	}
	defer client.CloseIdleConnections()
	m := startMeter(true, server.PID())
	if err := upload(ctx, client, "https://"+addr, path, int64(b.size)); err != nil {
		return nil, err
	}
	if err := syncFile(dest); err != nil {
		return nil, err
	}
	wall, cpu := m.read()
	return rates(int64(b.size), wall, cpu), nil
}

func trusting(cert string) (*http.Client, error) {
	der, err := base64.StdEncoding.DecodeString(cert)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool}, MaxIdleConnsPerHost: uploads, WriteBufferSize: 256 << 10,
	}}, nil
}

func upload(ctx context.Context, client *http.Client, url, path string, size int64) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range uploads {
		g.Go(func() error {
			buf := make([]byte, chunkSize)
			for {
				offset := next.Add(chunkSize) - chunkSize
				if offset >= size {
					return nil
				}
				chunk := buf[:min(chunkSize, size-offset)]
				if _, err := f.ReadAt(chunk, offset); err != nil {
					return err
				}
				if err := put(ctx, client, url, chunk, offset); err != nil {
					return err
				}
			}
		})
	}
	return g.Wait()
}

func put(ctx context.Context, client *http.Client, url string, chunk []byte, offset int64) error {
	sum := sha256.Sum256(chunk)
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, url, bytes.NewReader(chunk))
	if err != nil {
		return err
	}
	req.Header.Set(shaHeader, hex.EncodeToString(sum[:]))
	req.Header.Set(offsetName, strconv.FormatInt(offset, 10))
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1000))
	if err == nil && resp.StatusCode != http.StatusNoContent {
		err = fmt.Errorf("chunk at %d: %s: %s", offset, resp.Status, text)
	}
	return err
}
