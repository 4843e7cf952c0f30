package fleet

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const lateService = `[Unit]
Description=Second address of this test server
[Service]
Type=oneshot
ExecStart=ip address replace %s/24 dev host0
`

const lateTimer = `[Unit]
Description=The second address is late
[Timer]
OnStartupSec=%dms
AccuracySec=50ms
[Install]
WantedBy=timers.target
`

// prepareLate writes what adds the second address some time after each boot, as a private network does that the provider
// attaches, or a slow DHCP server.
func (s *Server) prepareLate(after time.Duration) error {
	if after == 0 {
		return nil
	}
	units := filepath.Join(s.Root(), "etc/systemd/system")
	for name, text := range map[string]string{
		"fleet-late.service": fmt.Sprintf(lateService, s.Late),
		"fleet-late.timer":   fmt.Sprintf(lateTimer, after.Milliseconds()),
	} {
		if err := writeFile(filepath.Join(units, name), text, 0o644); err != nil {
			return err
		}
	}
	wants := filepath.Join(units, "timers.target.wants")
	if err := os.MkdirAll(wants, 0o755); err != nil {
		return err
	}
	return os.Symlink("../fleet-late.timer", filepath.Join(wants, "fleet-late.timer"))
}
