package secret

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

const (
	keyIDLen = 4
	keyTag   = "spk1:" // in front of each key in the file
)

type key [chacha20poly1305.KeySize]byte

// id names a key without telling anything of it.
func (k key) id() string {
	sum := sha256.Sum256(append([]byte("serverplane key id "), k[:]...))
	return string(sum[:keyIDLen])
}

func (k key) text() string { return keyTag + base64.StdEncoding.EncodeToString(k[:]) }

func newKey() (key, error) {
	var k key
	if _, err := rand.Read(k[:]); err != nil {
		return k, fmt.Errorf("draw key: %w", err)
	}
	return k, nil
}

// Open loads the key file at path, or makes one with a fresh key where there is
// none. The file holds one key a line, the first seals; it must be a regular
// file of mode 0600 or stricter, or Open refuses it.
func Open(path string) (*Box, error) {
	keys, err := load(path)
	if errors.Is(err, fs.ErrNotExist) {
		keys, err = create(path)
	}
	if err != nil {
		return nil, fmt.Errorf("open key file %s: %w", path, err)
	}
	return newBox(keys)
}

// Rotate puts a fresh key in front of the file: what is sealed from the next
// Open on uses it, what was sealed before still opens.
func Rotate(path string) error {
	keys, err := load(path)
	if err != nil {
		return fmt.Errorf("rotate key file %s: %w", path, err)
	}
	fresh, err := newKey()
	if err != nil {
		return fmt.Errorf("rotate key file %s: %w", path, err)
	}
	staged, err := stage(path, append([]key{fresh}, keys...))
	if err != nil {
		return fmt.Errorf("rotate key file %s: %w", path, err)
	}
	if err := os.Rename(staged, path); err != nil {
		return fmt.Errorf("rotate key file: %w", errors.Join(err, os.Remove(staged)))
	}
	return nil
}

func load(path string) ([]key, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("is not a regular file")
	}
	if loose := info.Mode().Perm() &^ 0o600; loose != 0 {
		return nil, fmt.Errorf("mode is %04o, others could read the keys: chmod 600 it", info.Mode().Perm())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parse(text)
}

// parse never puts a line's text into its errors.
func parse(text []byte) ([]key, error) {
	var keys []key
	for n, line := range bytes.Split(text, []byte("\n")) {
		line := strings.TrimSpace(string(line))
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		encoded, tagged := strings.CutPrefix(line, keyTag)
		raw, err := base64.StdEncoding.DecodeString(encoded)
		if !tagged || err != nil || len(raw) != chacha20poly1305.KeySize {
			return nil, fmt.Errorf("line %d is not a key", n+1)
		}
		keys = append(keys, key(raw))
	}
	if len(keys) == 0 {
		return nil, errors.New("holds no key")
	}
	return keys, nil
}

// create makes the file whole or not at all; when another process was first,
// its key is the one that counts.
func create(path string) ([]key, error) {
	fresh, err := newKey()
	if err != nil {
		return nil, err
	}
	staged, err := stage(path, []key{fresh})
	if err != nil {
		return nil, err
	}
	linkErr := os.Link(staged, path)
	if err := os.Remove(staged); err != nil {
		return nil, err
	}
	if linkErr != nil && !errors.Is(linkErr, fs.ErrExist) {
		return nil, linkErr
	}
	return load(path)
}

// stage writes the keys to a new 0600 file beside path and onto the disk.
func stage(path string, keys []key) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*") // mode 0600
	if err != nil {
		return "", err
	}
	var text strings.Builder
	text.WriteString("# ServerPlane: the first key seals, all open. Keep a copy apart from the database.\n")
	for _, k := range keys {
		text.WriteString(k.text() + "\n")
	}
	_, err = f.WriteString(text.String())
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}
