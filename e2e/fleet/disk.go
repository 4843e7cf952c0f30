package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// The server's own part of its overlay, and the overlay's scratch folder; on a limited disk they are in that.
func (s *Server) upper() string { return s.own("upper") }
func (s *Server) work() string  { return s.own("work") }

func (s *Server) own(name string) string {
	if s.disk > 0 {
		return s.path("disk", name)
	}
	return s.path(name)
}

// limitDisk mounts the disk of a server that has a limit, once: it outlives power cuts, as disks do.
func (s *Server) limitDisk() error {
	if s.disk == 0 {
		return nil
	}
	dir := s.path("disk")
	if _, err := os.Stat(filepath.Join(dir, "upper")); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=755", s.disk)); err != nil {
		return fmt.Errorf("mounting the disk of server %s: %w", s.Name, err)
	}
	return nil
}

const filler = "/var/fleet-filler"

// FillDisk leaves no byte free on the disk of a server with Spec.Disk: every write of its fails with ENOSPC, in /home, /etc
// and /var alike, until FreeDisk.
func (s *Server) FillDisk(ctx context.Context) error {
	if s.disk == 0 {
		return errors.New("only a server with Spec.Disk can be filled: the others write to this machine's disk")
	}
	// The file ends with the disk, which is what dd then complains about.
	_, err := s.SSH(ctx, "dd if=/dev/zero of="+filler+" bs=64k 2>/dev/null; dd if=/dev/zero of="+filler+
		" bs=1 conv=notrunc oflag=append 2>/dev/null; ! touch /etc/fleet/full 2>/dev/null || ! echo x >/etc/fleet/full", nil)
	if err != nil {
		return fmt.Errorf("filling the disk of server %s: %w", s.Name, err)
	}
	return nil
}

// FreeDisk undoes FillDisk.
func (s *Server) FreeDisk(ctx context.Context) error {
	_, err := s.SSH(ctx, "rm -f "+filler+" /etc/fleet/full", nil)
	return err
}
