package recipe

import (
	"archive/tar"
	"bytes"
	"fmt"
	"time"
)

// stopGrace is what a stopping process gets on top of the drain time.
const stopGrace = 10 * time.Second

// archive collects files with owner and mode into one tar; the first error
// stays and is told by close.
type archive struct {
	user string
	buf  bytes.Buffer
	tar  *tar.Writer
	err  error
}

func newTree(user string) *archive {
	t := &archive{user: user}
	t.tar = tar.NewWriter(&t.buf)
	return t
}

// root adds a file of root's.
func (t *archive) root(path string, mode int64, body []byte, err error) {
	t.add(path, "root", mode, body, err)
}

// app adds a file the app's user may read and nobody but root may change.
func (t *archive) app(path string, mode int64, body []byte, err error) {
	t.add(path, t.user, mode, body, err)
}

func (t *archive) add(path, group string, mode int64, body []byte, err error) {
	if t.err != nil {
		return
	}
	if err != nil {
		t.err = fmt.Errorf("%s: %w", path, err)
		return
	}
	head := &tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: mode, Size: int64(len(body)), Uname: "root", Gname: group}
	if t.err = t.tar.WriteHeader(head); t.err == nil {
		_, t.err = t.tar.Write(body)
	}
}

func (t *archive) close() ([]byte, error) {
	if t.err != nil {
		return nil, t.err
	}
	if err := t.tar.Close(); err != nil {
		return nil, fmt.Errorf("finish the archive: %w", err)
	}
	return t.buf.Bytes(), nil
}
