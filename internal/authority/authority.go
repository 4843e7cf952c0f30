// Package authority is the panel's own certificate authority, by which an app
// knows the database of its primary. It makes keys and certificates and keeps
// nothing.
package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"time"
)

// Pair is a certificate and its key, both PEM.
type Pair struct {
	Certificate, Key []byte
}

// How long certificates are good: nobody looks at a database's for years, and
// one that ends unseen would stop every app.
const (
	authorityYears   = 30
	certificateYears = 20
)

// New makes an authority that may sign nothing but certificates of servers.
func New(name string, now time.Time) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, fmt.Errorf("make the key of an authority: %w", err)
	}
	template, err := describe(name, now, authorityYears)
	if err != nil {
		return Pair{}, err
	}
	template.IsCA, template.MaxPathLenZero, template.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	return sign(template, template, key, key)
}

// Issue makes a certificate for a server that is reached at these addresses or
// as localhost.
func (p Pair) Issue(name string, addresses []netip.Addr, now time.Time) (Pair, error) {
	parent, signer, err := p.open()
	if err != nil {
		return Pair{}, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, fmt.Errorf("make the key of a certificate: %w", err)
	}
	template, err := describe(name, now, certificateYears)
	if err != nil {
		return Pair{}, err
	}
	template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	template.DNSNames = []string{"localhost"}
	for _, a := range addresses {
		template.IPAddresses = append(template.IPAddresses, net.IP(a.AsSlice()))
	}
	return sign(template, parent, key, signer)
}

func describe(name string, now time.Time, years int) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("draw a serial number: %w", err)
	}
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, BasicConstraintsValid: true,
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.AddDate(years, 0, 0), // clocks of servers differ
	}, nil
}

func sign(template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) (Pair, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return Pair{}, fmt.Errorf("sign a certificate: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Pair{}, fmt.Errorf("encode a key: %w", err)
	}
	return Pair{
		Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key:         pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	}, nil
}

func (p Pair) open() (*x509.Certificate, *ecdsa.PrivateKey, error) {
	outer, _ := pem.Decode(p.Certificate)
	inner, _ := pem.Decode(p.Key)
	if outer == nil || inner == nil {
		return nil, nil, errors.New("read the authority: it is not PEM")
	}
	certificate, err := x509.ParseCertificate(outer.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("read the authority: %w", err)
	}
	key, err := x509.ParsePKCS8PrivateKey(inner.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("read the authority's key: %w", err)
	}
	private, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, nil, errors.New("read the authority's key: it is of another kind")
	}
	return certificate, private, nil
}
