package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"strings"
)

// TokenPrefix begins every token, so that secret scanners know one when they
// see it.
const TokenPrefix = "spt_"

const tokenBytes = 20 // 160 bits: no slow hash is needed

// NewToken draws a token and returns it with the hash to store; the token
// itself is shown once and kept nowhere.
func NewToken() (token, hash string) {
	var raw [tokenBytes]byte
	_, _ = rand.Read(raw[:]) // never fails since Go 1.24
	token = TokenPrefix + strings.ToLower(base32.StdEncoding.EncodeToString(raw[:]))
	return token, HashToken(token)
}

// HashToken returns what a token is stored and looked up as: hex SHA-256.
func HashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}
