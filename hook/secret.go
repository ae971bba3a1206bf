package hook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	maxSecretFile = 4 << 10 // bytes
	minSecret     = 24      // bytes
	secretPrefix  = "whsec_"
)

// ReadSecret reads the secret that signs messages: whsec_ and base64, or any
// other text, which is taken as it stands without the space around it. A file
// that everybody may read is refused.
func ReadSecret(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a file", path)
	case info.Mode().Perm()&0o007 != 0:
		return nil, fmt.Errorf("everybody may read or write %s; run: chmod o= %s", path, path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err != nil {
		return nil, err
	}
	secret, err := parseSecret(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; make one with: (printf whsec_; head -c 32 /dev/urandom | base64) > %s", path, err, path)
	}
	return secret, nil
}

func parseSecret(data []byte) ([]byte, error) {
	if len(data) > maxSecretFile {
		return nil, fmt.Errorf("more than %d bytes", maxSecretFile)
	}
	text := strings.TrimSpace(string(data))
	secret := []byte(text)
	if encoded, ok := strings.CutPrefix(text, secretPrefix); ok {
		var err error
		if secret, err = base64.StdEncoding.DecodeString(encoded); err != nil {
			return nil, errors.New("what follows whsec_ is not base64")
		}
	}
	if len(secret) < minSecret {
		return nil, fmt.Errorf("a secret of %d bytes, at least %d are needed", len(secret), minSecret)
	}
	return secret, nil
}

// sign is the signature of a message that is sent now, as the Standard Webhooks
// specification has it.
func sign(secret []byte, id string, now time.Time, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(id + "." + strconv.FormatInt(now.Unix(), 10) + "."))
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
