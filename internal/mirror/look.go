package mirror

import (
	"archive/tar"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Limits of a look: a repository may hold a million files, and they are text for kinds to look at only.
const (
	maxPaths = 50_000
	maxText  = 64 << 10
)

// Look lists the files of a branch of a repository and reads those that inside picks, as far as they are small. Nothing of it is
// kept: the repository belongs to no app yet.
func (m *Mirrors) Look(ctx context.Context, address, branch string, inside func(path string) bool) (paths []string, texts map[string]string, err error) {
	scratch := "app_look" + strings.ToLower(rand.Text())[:16]
	defer func() { err = errors.Join(err, m.Remove(scratch)) }()
	if err := m.Fetch(ctx, Source{App: scratch, Address: address}); err != nil {
		return nil, nil, err
	}
	commit, err := m.Resolve(ctx, scratch, branch)
	if err != nil {
		return nil, nil, err
	}
	tree, err := m.Archive(ctx, scratch, commit.ID)
	if err != nil {
		return nil, nil, err
	}
	defer tree.Close()
	return list(tree, inside)
}

func list(tree io.Reader, inside func(path string) bool) (paths []string, texts map[string]string, err error) {
	texts = map[string]string{}
	for r := tar.NewReader(tree); len(paths) < maxPaths; {
		head, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, nil, fmt.Errorf("list the files: %w", err)
		}
		if head.Typeflag != tar.TypeReg {
			continue
		}
		paths = append(paths, head.Name)
		if head.Size <= maxText && inside(head.Name) {
			raw, err := io.ReadAll(r)
			if err != nil {
				return nil, nil, fmt.Errorf("read %s: %w", head.Name, err)
			}
			texts[head.Name] = string(raw)
		}
	}
	return paths, texts, nil
}
