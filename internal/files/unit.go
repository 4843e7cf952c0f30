package files

import (
	"fmt"
	"strings"
	"time"
)

// Unit is what one slot's process needs to run as a systemd service.
type Unit struct {
	App     string
	Slot    string        // a or b
	Release string        // release id; the process works in its folder
	Root    string        // folder inside the release to start in; empty: the release itself
	Port    uint16        // loopback port the process is told to listen on, 1024 to 65535
	Server  string        // the server's name, told to the process
	Memory  uint64        // limit in MiB, at least 16; 0: none
	Stop    time.Duration // how long a stopping process may take, 1 s to 1 h
	Scratch bool          // give the slot a folder in memory; see ScratchDir
	Alone   bool          // never beside the other slot: starting either stops the other first
	Quit    bool          // what runs ends its requests on SIGQUIT, as Nginx and php-fpm do, and cuts them on SIGTERM
}

// SlotUnit gives the text of a slot's unit file; see UnitPath, EnvPath and StartPath.
//
// The process sees what Env was given, and on top of it PORT, SERVERPLANE_RELEASE and
// SERVERPLANE_SERVER, which no variable can replace: a PORT imported with an .env file would
// otherwise take the app off its slot. HOST is 127.0.0.1 unless a variable says otherwise.
func SlotUnit(u Unit) (string, error) {
	if err := u.check(); err != nil {
		return "", err
	}
	dir := ReleaseDir(u.App, u.Release)
	if u.Root != "" {
		dir += "/" + u.Root
	}
	memory := ""
	if u.Memory > 0 {
		memory = fmt.Sprintf("MemoryMax=%dM\n", u.Memory)
	}
	return fmt.Sprintf(slotUnit, u.App, u.Slot, UserName(u.App), dir, EnvPath(u.App, u.Slot), u.Port, u.Release, u.Server,
		StartPath(u.App, u.Slot), int(u.Stop.Seconds()), memory, Home(u.App), u.extra(), u.beside()), nil
}

// beside are the lines of the unit's head that keep two slots apart. One direction of After is enough for systemd to
// stop the one before it starts the other, whichever is which.
func (u Unit) beside() string {
	if !u.Alone {
		return ""
	}
	other := "a"
	if u.Slot == "a" {
		other = "b"
	}
	text := "Conflicts=" + UnitName(u.App, other) + "\n"
	if u.Slot == "b" {
		text += "After=" + UnitName(u.App, other) + "\n"
	}
	return text
}

// extra are the lines that only some kinds of apps need.
func (u Unit) extra() string {
	text := ""
	if u.Quit {
		text += "KillSignal=SIGQUIT\n"
	}
	if u.Scratch {
		text += fmt.Sprintf("RuntimeDirectory=%s\nRuntimeDirectoryMode=0700\n", strings.TrimPrefix(ScratchDir(u.App, u.Slot), "/run/"))
	}
	return text
}

func (u Unit) check() error {
	if err := checkApp(u.App); err != nil {
		return err
	}
	if err := checkSlot(u.Slot); err != nil {
		return err
	}
	if err := checkRelease(u.Release); err != nil {
		return err
	}
	if err := checkRoot(u.Root); err != nil {
		return err
	}
	if err := checkServer(u.Server); err != nil {
		return err
	}
	return u.checkNumbers()
}

func (u Unit) checkNumbers() error {
	if u.Port < 1024 {
		return refuse("port", "must be 1024 to 65535")
	}
	if u.Memory != 0 && (u.Memory < 16 || u.Memory > 1<<24) {
		return refuse("memory", "must be 16 MiB to 16 TiB, or 0 for no limit")
	}
	if u.Stop < time.Second || u.Stop > time.Hour {
		return refuse("stop", "must be 1 s to 1 h")
	}
	return nil
}

// checkRoot accepts a plain relative path: nothing systemd would expand, and no way out.
func checkRoot(s string) error {
	const rule = "must be a relative path of letters, digits, ., _ and -, without .."
	if s == "" {
		return nil
	}
	for part := range strings.SplitSeq(s, "/") {
		if part == "." || part == ".." || !matches(`[A-Za-z0-9._-]+`, part) {
			return refuse("root", rule)
		}
	}
	if len(s) > 200 {
		return refuse("root", "must be at most 200 long")
	}
	return nil
}

// slotUnit: StartLimitIntervalSec=0, because systemd otherwise gives up for good after five
// quick failures. OOMPolicy=continue: a master that lost one worker to the memory limit starts
// another. ProtectSystem=full and not strict: an app may have its own data outside its home.
const slotUnit = `# Written by ServerPlane; changes made by hand are replaced.
[Unit]
Description=ServerPlane app %[1]s, slot %[2]s
After=network-online.target postgresql.service mariadb.service redis-server.service
Wants=network-online.target
%[14]sStartLimitIntervalSec=0

[Service]
Type=exec
User=%[3]s
Group=%[3]s
WorkingDirectory=%[4]s
Environment=HOST=127.0.0.1
EnvironmentFile=%[5]s
ExecStart=/usr/bin/env PORT=%[6]d SERVERPLANE_RELEASE=%[7]s SERVERPLANE_SERVER=%[8]s /bin/sh %[9]s
Restart=always
RestartSec=1
KillMode=control-group
%[13]sSuccessExitStatus=143
TimeoutStopSec=%[10]d
OOMPolicy=continue
%[11]sLimitNOFILE=65536
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=full
ReadWritePaths=%[12]s
StandardOutput=journal
StandardError=journal
SyslogIdentifier=sp-%[1]s-%[2]s

[Install]
WantedBy=multi-user.target
`
