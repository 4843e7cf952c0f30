package fleet

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Downloaded packages are shared between servers and runs as hard links, not as a shared folder: apt locks its archive, and
// servers of one story install at the same time.

const archives = "var/cache/apt/archives"

func (f *Fleet) packageFolder() (string, error) {
	dir := filepath.Join(f.cache, "archives")
	return dir, os.MkdirAll(dir, 0o755)
}

// lendPackages puts all packages of the cache into a new server's archive. apt checks each against its hash.
func (f *Fleet) lendPackages(s *Server) error {
	if s.disk > 0 {
		return nil // no links from one file system to another
	}
	cache, err := f.packageFolder()
	if err != nil {
		return err
	}
	// Made in the upper folder, where links are possible, before the overlay is mounted. These folders are as Debian's.
	if err := os.MkdirAll(filepath.Join(s.upper(), archives), 0o755); err != nil {
		return err
	}
	return linkPackages(cache, filepath.Join(s.upper(), archives))
}

// keepPackages adds what a server has downloaded to the cache.
func (f *Fleet) keepPackages(s *Server) error {
	if s.disk > 0 {
		return nil
	}
	cache, err := f.packageFolder()
	if err != nil {
		return err
	}
	return linkPackages(filepath.Join(s.upper(), archives), cache)
}

func linkPackages(from, to string) error {
	packages, err := filepath.Glob(filepath.Join(from, "*.deb"))
	if err != nil {
		return err
	}
	for _, file := range packages {
		info, err := os.Lstat(file)
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		err = os.Link(file, filepath.Join(to, filepath.Base(file)))
		if err != nil && !errors.Is(err, os.ErrExist) && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("sharing downloaded packages: %w", err)
		}
	}
	return nil
}
