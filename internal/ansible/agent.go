package ansible

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

var errReadOnlyAgent = errors.New("this agent only signs")

// signerAgent lends one key to ssh without ever writing it to disk or showing it.
type signerAgent struct{ signer ssh.Signer }

func (a signerAgent) List() ([]*agent.Key, error) {
	key := a.signer.PublicKey()
	return []*agent.Key{{Format: key.Type(), Blob: key.Marshal(), Comment: "serverplane"}}, nil
}

func (a signerAgent) Sign(key ssh.PublicKey, data []byte) (*ssh.Signature, error) {
	return a.SignWithFlags(key, data, 0)
}

func (a signerAgent) SignWithFlags(key ssh.PublicKey, data []byte, flags agent.SignatureFlags) (*ssh.Signature, error) {
	if !bytes.Equal(key.Marshal(), a.signer.PublicKey().Marshal()) {
		return nil, errors.New("the agent does not hold this key")
	}
	algorithms, ok := a.signer.(ssh.AlgorithmSigner)
	switch {
	case ok && flags&agent.SignatureFlagRsaSha512 != 0:
		return algorithms.SignWithAlgorithm(rand.Reader, data, ssh.KeyAlgoRSASHA512)
	case ok && flags&agent.SignatureFlagRsaSha256 != 0:
		return algorithms.SignWithAlgorithm(rand.Reader, data, ssh.KeyAlgoRSASHA256)
	}
	return a.signer.Sign(rand.Reader, data)
}

func (a signerAgent) Signers() ([]ssh.Signer, error) { return []ssh.Signer{a.signer}, nil }

func (a signerAgent) Extension(string, []byte) ([]byte, error) {
	return nil, agent.ErrExtensionUnsupported
}
func (a signerAgent) Add(agent.AddedKey) error   { return errReadOnlyAgent }
func (a signerAgent) Remove(ssh.PublicKey) error { return errReadOnlyAgent }
func (a signerAgent) RemoveAll() error           { return errReadOnlyAgent }
func (a signerAgent) Lock([]byte) error          { return errReadOnlyAgent }
func (a signerAgent) Unlock([]byte) error        { return errReadOnlyAgent }

// agentServer answers on a socket until closed.
type agentServer struct {
	listener net.Listener
	agent    agent.ExtendedAgent
	mu       sync.Mutex
	conns    map[net.Conn]bool // nil once closed
	wg       sync.WaitGroup
}

func serveAgent(path string, signer ssh.Signer) (*agentServer, error) {
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("opening the key agent's socket: %w", err)
	}
	s := &agentServer{listener: listener, agent: signerAgent{signer}, conns: make(map[net.Conn]bool)}
	s.wg.Add(1)
	go s.accept()
	return s, nil
}

func (s *agentServer) accept() {
	defer s.wg.Done()
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		if !s.hold(conn) {
			return
		}
		go s.serve(conn)
	}
}

func (s *agentServer) hold(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil {
		conn.Close()
		return false
	}
	s.conns[conn] = true
	s.wg.Add(1)
	return true
}

// serve ends with the client's hanging up, which ServeAgent reports as an error like any other.
func (s *agentServer) serve(conn net.Conn) {
	defer s.wg.Done()
	defer conn.Close()
	_ = agent.ServeAgent(s.agent, conn)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
}

// Close takes the key away from everyone still connected and waits until that is so.
func (s *agentServer) Close() {
	s.listener.Close()
	s.mu.Lock()
	for conn := range s.conns {
		conn.Close()
	}
	s.conns = nil
	s.mu.Unlock()
	s.wg.Wait()
}
