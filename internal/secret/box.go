// Package secret seals bytes for the store and opens them again, with keys
// kept in a file outside the database. It never prints and its errors never
// hold what was sealed.
package secret

import (
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"
)

// ErrUnsealable is returned by Unseal for whatever it cannot open: a key that
// is not in the file, another context, changed bytes.
var ErrUnsealable = errors.New("the sealed value cannot be opened: wrong key file, or the value was changed")

// The layout of a sealed value: a version byte, the id of its key, a random
// nonce, the ciphertext with its tag.
const (
	version   = 1
	headerLen = 1 + keyIDLen
	overhead  = headerLen + chacha20poly1305.NonceSizeX + chacha20poly1305.Overhead
)

// Box seals with the first key of its file and opens with any of them, so that
// a key is rotated by putting a new one in front. It may be used from any
// goroutine.
type Box struct {
	first string
	keys  map[string]cipher.AEAD // by key id
}

func newBox(keys []key) (*Box, error) {
	b := &Box{first: keys[0].id(), keys: map[string]cipher.AEAD{}}
	for _, k := range keys {
		aead, err := chacha20poly1305.NewX(k[:])
		if err != nil {
			return nil, fmt.Errorf("prepare key: %w", err)
		}
		b.keys[k.id()] = aead
	}
	return b, nil
}

// String keeps keys out of logs.
func (b *Box) String() string { return "secret.Box" }

// GoString keeps keys out of %#v.
func (b *Box) GoString() string { return "secret.Box" }

// Seal encrypts plain (XChaCha20-Poly1305). context says what the value is, for
// example "variable app_x NAME": a value copied elsewhere does not open there.
func (b *Box) Seal(plain []byte, context string) ([]byte, error) {
	out := make([]byte, headerLen+chacha20poly1305.NonceSizeX, overhead+len(plain))
	out[0] = version
	copy(out[1:], b.first)
	nonce := out[headerLen:]
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("draw nonce: %w", err)
	}
	return b.keys[b.first].Seal(out, nonce, plain, associated(out[:headerLen], context)), nil
}

// Unseal opens what Seal made with the same context; else ErrUnsealable.
func (b *Box) Unseal(sealed []byte, context string) ([]byte, error) {
	if len(sealed) < overhead || sealed[0] != version {
		return nil, ErrUnsealable
	}
	aead, ok := b.keys[string(sealed[1:headerLen])]
	if !ok {
		return nil, ErrUnsealable
	}
	nonce, body := sealed[headerLen:headerLen+chacha20poly1305.NonceSizeX], sealed[headerLen+chacha20poly1305.NonceSizeX:]
	plain, err := aead.Open(nil, nonce, body, associated(sealed[:headerLen], context))
	if err != nil {
		return nil, ErrUnsealable
	}
	return plain, nil
}

// Stale tells whether sealed was not made with the first key: after a rotation
// such values are sealed anew before the old key is taken out.
func (b *Box) Stale(sealed []byte) bool {
	return len(sealed) < headerLen || string(sealed[1:headerLen]) != b.first
}

func associated(header []byte, context string) []byte {
	return append(append([]byte{}, header...), context...)
}
