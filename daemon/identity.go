package daemon

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
	"github.com/libp2p/go-libp2p/core/crypto"
)

// maxSmallFile bounds what is read of the files that a node keeps for itself.
const maxSmallFile = 1 << 20

// loadIdentity reads the node's Ed25519 key, and makes one the first time.
func loadIdentity(path string) (crypto.PrivKey, error) {
	data, err := readSmallFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return createIdentity(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read identity: %w", err)
	}
	key, err := crypto.UnmarshalPrivateKey(data)
	if err != nil {
		return nil, fmt.Errorf("identity %s is damaged (%w); restore it from a backup, or move it away to become a new node", path, err)
	}
	if key.Type() != crypto.Ed25519 {
		return nil, fmt.Errorf("identity %s holds a %s key, want Ed25519", path, key.Type())
	}
	return key, nil
}

func createIdentity(path string) (crypto.PrivKey, error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make identity: %w", err)
	}
	data, err := crypto.MarshalPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("make identity: %w", err)
	}
	if err := writeSmallFile(path, data); err != nil {
		return nil, fmt.Errorf("write identity: %w", err)
	}
	return key, nil
}

func readSmallFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxSmallFile {
		return nil, fmt.Errorf("%s has %d bytes, at most %d are expected", path, info.Size(), maxSmallFile)
	}
	return os.ReadFile(path)
}

// writeSmallFile replaces a file atomically, readable by its owner alone.
func writeSmallFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return renameio.WriteFile(path, data, 0o600)
}
