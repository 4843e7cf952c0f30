package files

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// Names of what carries out an app's processes. App and process are apart by an
// underscore, which neither may hold: no name can be that of another app's
// process, of a slot, or of a transient unit.

// ProcessTemplate is the unit file of a process; see ProcessInstance.
func ProcessTemplate(app, process string) string { return "sp-" + app + "_p_" + process + "@.service" }

// ProcessInstance is the unit of one instance of a process, counted from 1.
func ProcessInstance(app, process string, n int) string {
	return fmt.Sprintf("sp-%s_p_%s@%d.service", app, process, n)
}

// CronTimer is the timer that wakes a cron entry's tick.
func CronTimer(app, entry string) string { return "sp-" + app + "_c_" + entry + ".timer" }

// CronTick is the unit that looks at the clock and starts the entry's run.
func CronTick(app, entry string) string { return "sp-" + app + "_t_" + entry + ".service" }

// CronRun is the unit of the entry's run; there is never more than one of it.
func CronRun(app, entry string) string { return "sp-" + app + "_c_" + entry + ".service" }

// ProcessDir holds the scripts of an app's processes; 0750 root:sp_<app>.
func ProcessDir(app string) string { return ConfigDir(app) + "/process" }

// ProcessScript is a process's start script (see StartScript); 0640 root:sp_<app>.
func ProcessScript(app, process string) string { return ProcessDir(app) + "/" + process + ".start" }

// CronTickScript is what an entry's tick runs as root (see TickScript); 0600 root.
func CronTickScript(app, entry string) string { return ProcessDir(app) + "/" + entry + ".tick" }

// Process is what one process of an app needs to run beside a slot.
type Process struct {
	App        string
	Name       string
	Slot       string // whose variables it sees
	Release    string // release id; the process works in its folder
	Root       string // folder inside the release to start in; empty: the release itself
	Deployment string // id; another one is another process, though all else be the same
	Server     string // the server's name, told to the process
	Stop       time.Duration
}

func (p Process) check() error {
	if checkApp(p.Name) != nil {
		return refuse("process", "must be 1 to 24 of a-z, 0-9 and -, start with a letter and not end with -")
	}
	if err := checkID("deployment", "dep", p.Deployment); err != nil {
		return err
	}
	u := Unit{App: p.App, Slot: p.Slot, Release: p.Release, Root: p.Root, Server: p.Server, Port: 20001, Stop: p.Stop}
	return u.check()
}

func (p Process) folder() string { return path.Join(ReleaseDir(p.App, p.Release), p.Root) }

// ProcessUnit gives the text of a process's template unit. It names its slice: instances
// would get one of their own, which stays when they are gone.
//
// The process sees the slot's variables, and on top of them SERVERPLANE_RELEASE,
// SERVERPLANE_SERVER, SERVERPLANE_PROCESS and SERVERPLANE_INSTANCE.
func ProcessUnit(p Process) (string, error) {
	if err := p.check(); err != nil {
		return "", err
	}
	return fmt.Sprintf(processHead, "process "+p.Name+" %i", p.App, p.Deployment, "StartLimitIntervalSec=0\n") +
		"Type=exec\nSlice=system.slice\nRestart=always\nRestartSec=2\n" + p.body("_p_", "%i") + "\n[Install]\nWantedBy=multi-user.target\n", nil
}

// CronRunUnit gives the text of the unit of a cron entry's run.
func CronRunUnit(p Process) (string, error) {
	if err := p.check(); err != nil {
		return "", err
	}
	return fmt.Sprintf(processHead, "cron entry "+p.Name, p.App, p.Deployment, "") + "Type=oneshot\n" + p.body("_c_", "1"), nil
}

func (p Process) body(kind, instance string) string {
	user := UserName(p.App)
	return fmt.Sprintf(processBody, user, p.folder(), EnvPath(p.App, p.Slot), p.Release, p.Server, p.Name, instance,
		ProcessScript(p.App, p.Name), int(p.Stop.Seconds()), Home(p.App), "sp-"+p.App+kind+p.Name)
}

const processHead = `# Written by ServerPlane; changes made by hand are replaced.
[Unit]
Description=ServerPlane app %[2]s, %[1]s (%[3]s)
After=network-online.target postgresql.service mariadb.service redis-server.service
Wants=network-online.target
%[4]s
[Service]
`

// processBody: what a process is at when it is stopped may last; SIGTERM tells
// it, and only after Stop it is killed.
const processBody = `User=%[1]s
Group=%[1]s
WorkingDirectory=%[2]s
EnvironmentFile=%[3]s
ExecStart=/usr/bin/env SERVERPLANE_RELEASE=%[4]s SERVERPLANE_SERVER=%[5]s SERVERPLANE_PROCESS=%[6]s SERVERPLANE_INSTANCE=%[7]s /bin/sh %[8]s
KillMode=control-group
SuccessExitStatus=143
TimeoutStartSec=infinity
TimeoutStopSec=%[9]d
OOMPolicy=continue
LimitNOFILE=65536
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=full
ReadWritePaths=%[10]s
StandardOutput=journal
StandardError=journal
SyslogIdentifier=%[11]s
`

// Tick is when a cron entry runs, as numbers: minutes 0-59, hours 0-23, days
// 1-31, months 1-12, weekdays 0-6 from Sunday; by the clock of Zone.
type Tick struct {
	App, Name                              string
	Minutes, Hours, Days, Months, Weekdays []int
	EitherDay                              bool // a day that fits Days or Weekdays counts; else it must fit both
	Twice                                  bool // an hour that comes twice is meant twice
	Zone                                   string
}

func (t Tick) check() error {
	if err := checkApp(t.App); err != nil {
		return err
	}
	if checkApp(t.Name) != nil {
		return refuse("process", "must be 1 to 24 of a-z, 0-9 and -, start with a letter and not end with -")
	}
	if !matches(`[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}`, t.Zone) {
		return refuse("zone", "must be a name of the time zone database")
	}
	for _, l := range []struct {
		field    string
		list     []int
		min, max int
	}{{"minutes", t.Minutes, 0, 59}, {"hours", t.Hours, 0, 23}, {"days", t.Days, 1, 31}, {"months", t.Months, 1, 12}, {"weekdays", t.Weekdays, 0, 6}} {
		if len(l.list) == 0 || slices.Min(l.list) < l.min || slices.Max(l.list) > l.max {
			return refuse(l.field, fmt.Sprintf("must be some of %d to %d", l.min, l.max))
		}
	}
	return nil
}

// TimerUnit gives the text of the timer that wakes the entry's tick: in UTC, at
// every minute of the hour that any of the world's zones may show as one of the
// tick's. The tick decides; systemd's own zones skip the hour that comes twice.
func TimerUnit(t Tick) (string, error) {
	if err := t.check(); err != nil {
		return "", err
	}
	var minutes []string
	for m := range 60 {
		for _, offset := range []int{0, 15, 30, 45} { // no zone differs from UTC by anything else
			if slices.Contains(t.Minutes, (m+offset)%60) {
				minutes = append(minutes, fmt.Sprint(m))
				break
			}
		}
	}
	when := strings.Join(minutes, ",")
	if len(minutes) == 60 {
		when = "*"
	}
	return fmt.Sprintf(timerUnit, t.App, t.Name, when, CronTick(t.App, t.Name)), nil
}

const timerUnit = `# Written by ServerPlane; changes made by hand are replaced.
[Unit]
Description=ServerPlane app %[1]s, clock of cron entry %[2]s

[Timer]
OnCalendar=*-*-* *:%[3]s:00 UTC
AccuracySec=100ms
Persistent=false
Unit=%[4]s

[Install]
WantedBy=timers.target
`

// TickUnit gives the text of the unit that runs TickScript. It asks for the
// entry's run and ends: a run that lasts cannot hold up the clock, and one that
// is under way is not begun again.
func TickUnit(t Tick) (string, error) {
	if err := t.check(); err != nil {
		return "", err
	}
	return fmt.Sprintf(tickUnit, t.App, t.Name, CronTickScript(t.App, t.Name), CronRun(t.App, t.Name)), nil
}

// tickUnit: the clock is looked at up to every minute, which is not worth three
// lines of the journal each time.
const tickUnit = `# Written by ServerPlane; changes made by hand are replaced.
[Unit]
Description=ServerPlane app %[1]s, tick of cron entry %[2]s

[Service]
Type=oneshot
ExecStart=/bin/sh %[3]s systemctl start --no-block %[4]s
LogLevelMax=notice
`

// TickScript gives a /bin/sh script that carries out its arguments if the
// entry's run is due in the minute of the clock, or of $SP_NOW (seconds since 1970).
func TickScript(t Tick) ([]byte, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	either, twice := "&&", ""
	if t.EitherDay {
		either = "||"
	}
	if !t.Twice {
		twice = tickOnce
	}
	return fmt.Appendf(nil, tickScript, t.Zone, numbers(t.Minutes), numbers(t.Hours), numbers(t.Months), numbers(t.Days), either, numbers(t.Weekdays), twice), nil
}

// numbers are two digits each, as date writes them, with blanks around.
func numbers(list []int) string {
	var out strings.Builder
	for _, n := range list {
		fmt.Fprintf(&out, " %02d", n)
	}
	return out.String() + " "
}

const tickScript = `#!/bin/sh
# Written by ServerPlane; changes made by hand are replaced.
now=${SP_NOW:-$(date +%%s)}
shows() { TZ=%[1]s date -d "@$1" '+%%M %%H %%m %%d 0%%w %%Y'; }
in_list() { case "$2" in *" $1 "*) return 0 ;; esac; return 1; }
is_due() {
  in_list "$1" '%[2]s' && in_list "$2" '%[3]s' && in_list "$3" '%[4]s' && { in_list "$4" '%[5]s' %[6]s in_list "$5" '%[7]s'; }
}
here=$(shows "$now")
# shellcheck disable=SC2086
is_due $here || exit 0
%[8]sexec "$@"
`

const tickOnce = `for back in 1800 3600; do
  [ "$(shows $((now - back)))" != "$here" ] || exit 0
done
`
