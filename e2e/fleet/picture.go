package fleet

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Picture is a server's file system at one moment: per path its type, mode, owner and content.
type Picture map[string]string

// restless are the paths that change on a server which nobody touches, or by the mere logging in: folders with all below
// them, and files. Nothing that an application brings may hide here.
func restless() (folders, files []string) {
	return []string{
			"/dev", "/proc", "/run", "/sys", "/tmp", "/var/tmp", // emptied at boot or not on the disk
			"/var/cache", "/var/lib/apt", "/var/log", "/var/lib/systemd", // kept by Debian about itself
			"/root/.ansible",
		}, []string{
			"/etc/group-", "/etc/gshadow-", "/etc/passwd-", "/etc/shadow-", "/etc/subgid-", "/etc/subuid-", // the state before the last change
			"/etc/.pwd.lock", "/etc/ld.so.cache", "/etc/machine-id",
			"/var/lib/dpkg/lock", "/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/triggers/Lock",
		}
}

// Picture reads a server's whole file system from outside, besides what is restless; the server may run. Times are left
// out: a file that was rewritten with what it held is unchanged.
func (s *Server) Picture() (Picture, error) {
	p := Picture{}
	folders, files := restless()
	err := filepath.WalkDir(s.Root(), func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil // it went while we looked
		}
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, s.Root())
		switch {
		case slices.Contains(folders, name):
			return filepath.SkipDir
		case name == "" || slices.Contains(files, name):
			return nil
		}
		line, err := look(path, entry)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		p[name] = line
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("taking a picture of server %s: %w", s.Name, err)
	}
	return p, nil
}

// look describes one file in a line.
func look(path string, entry fs.DirEntry) (string, error) {
	info, err := entry.Info()
	if err != nil {
		return "", err
	}
	owner := "?"
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		owner = fmt.Sprintf("%d:%d", stat.Uid, stat.Gid)
	}
	line := fmt.Sprintf("%s %s", info.Mode(), owner)
	switch {
	case info.Mode().IsRegular():
		sum, err := digest(path)
		return line + " " + sum, err
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(path)
		return line + " -> " + target, err
	}
	return line, nil
}

func digest(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// Since lists what differs from an earlier picture, sorted by path: "+" new, "-" gone, "~" changed.
func (p Picture) Since(earlier Picture) []string {
	var all []string
	for path, now := range p {
		before, was := earlier[path]
		switch {
		case !was:
			all = append(all, path+" + "+now)
		case before != now:
			all = append(all, path+" ~ "+before+" => "+now)
		}
	}
	for path, before := range earlier {
		if _, is := p[path]; !is {
			all = append(all, path+" - "+before)
		}
	}
	slices.Sort(all)
	return all
}
