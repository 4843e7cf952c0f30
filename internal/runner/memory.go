package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/serverplane/serverplane/internal/files"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/remote"
)

// lookAtMemory prints what the server can give away and what a unit's processes
// hold, in MiB. Each one's own share counts (PSS), not what systemd counts: that
// includes the cache of files, which a second slot would not need again. A
// container's processes are those of its own process namespace.
const lookAtMemory = `
import json, os, subprocess, sys
def output(*args):
    try:
        return subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.strip()
    except OSError:
        return ""
def field(path, name):
    with open(path) as f:
        for line in f:
            if line.startswith(name + ":"):
                return int(line.split()[1])
    raise ValueError(path + " does not say " + name)
unit, container = sys.argv[1], sys.argv[2]
pids, group = set(), output("systemctl", "show", "--property=ControlGroup", "--value", unit)
for base in ("/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"):
    for path, _, names in os.walk(base + group) if group else ():
        if "cgroup.procs" in names:
            with open(path + "/cgroup.procs") as f:
                pids.update(f.read().split())
if container:
    first = output("docker", "--host", "unix:///run/docker.sock", "inspect", "--format", "{{.State.Pid}}", container)
    inside = os.readlink("/proc/%s/ns/pid" % first) if first.isdigit() and first != "0" else ""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if inside and os.readlink("/proc/%s/ns/pid" % pid) == inside:
                pids.add(pid)
        except OSError:
            pass
used = 0
for pid in pids:
    try:
        used += field("/proc/%s/smaps_rollup" % pid, "Pss")
    except (FileNotFoundError, ProcessLookupError, ValueError):
        pass
print(json.dumps({"Available": field("/proc/meminfo", "MemAvailable") // 1024, "Used": -(-used // 1024)}))
`

// room asks a server for its memory. That it could not be told is an answer, too.
func (j *job) room(ctx context.Context, c crew, s recipe.Seat, running plane.Slot, to plane.Spec) plane.Room {
	container, limit := "", 0
	kind, err := j.Kinds.Of(c.app.Kind)
	if err == nil && kind.Container != nil {
		container = files.ContainerName(c.app.Name, string(running))
		limit = kind.Container(plane.Place{Options: to.Options}).Memory
	}
	res, err := j.Pool.Exec(ctx, recipe.Target(s.Server), remote.Command{
		Args: []string{"python3", "-c", lookAtMemory, files.UnitName(c.app.Name, string(running)), container}, Sudo: true,
	})
	if err == nil && res.Exit != 0 {
		err = errors.New(lastOf(strings.TrimSpace(string(res.Stderr)), 1))
	}
	var r plane.Room
	if err == nil {
		err = json.Unmarshal(res.Stdout, &r)
	}
	if err != nil {
		return plane.Room{Unknown: firstLine(err.Error())}
	}
	r.Limit = limit
	return r
}

// weighMemory refuses a server on which the slot that is about to be started
// would not fit beside the one that runs, before anything is started anywhere.
func (d *deployment) weighMemory(ctx context.Context, seats []recipe.Seat) error {
	if d.previous == "" {
		return nil // nothing runs yet
	}
	a, err := d.args()
	if err != nil {
		return err
	}
	var mu sync.Mutex
	rooms := map[string]plane.Room{}
	eachSeat(seats, func(s recipe.Seat) error {
		r := d.room(ctx, d.crew, s, d.previous, d.plan.Spec)
		mu.Lock()
		defer mu.Unlock()
		rooms[s.Server.Name] = r
		return nil
	})
	if err := context.Cause(ctx); err != nil {
		return err
	}
	failed := map[string]error{}
	for _, s := range seats {
		r := rooms[s.Server.Name]
		d.say(s.Server.Name, "%s", r.Words())
		switch {
		case !r.Short():
		case a.Memory:
			d.say(s.Server.Name, "warning: that may be too little; going on as acknowledged")
		default:
			failed[s.Server.Name] = plane.RefuseShort(d.crew.app.Name, s.Server.Name, d.againWith(), r)
		}
	}
	return d.sift(ctx, failed)
}

// againWith is what a person would type to ask for this once more with an acknowledgement.
func (d *deployment) againWith() string {
	if d.plan.Trigger == plane.TriggerEnvironment {
		return "env apply " + d.crew.app.Name
	}
	return d.command()
}

// weighMemory refuses a server that has less than what the app takes on its primary.
func (a *addition) weighMemory(ctx context.Context, acknowledged bool) error {
	there := a.room(ctx, a.crew, a.seat, a.crew.app.LiveSlot, a.live.Spec)
	on := a.room(ctx, a.crew, a.crew.primary(), a.crew.app.LiveSlot, a.live.Spec)
	r := plane.Room{Available: there.Available, Used: on.Used, Limit: on.Limit, Unknown: there.Unknown + on.Unknown}
	switch {
	case r.Unknown != "":
		a.say(a.seat.Server.Name, "warning: what memory it needs is unknown (%s); going on", r.Unknown)
		return nil
	case !r.Short():
		a.say(a.seat.Server.Name, "%d MiB of memory are available; the app uses %d MiB on %s", r.Available, r.Used, a.crew.primary().Server.Name)
		return nil
	case acknowledged:
		a.say(a.seat.Server.Name, "warning: %d MiB of memory are available, and the app needs about %d; going on as acknowledged", r.Available, r.Needs())
		return nil
	}
	return &plane.Error{
		Code:    plane.CodeConflict,
		Message: fmt.Sprintf("%s has %d MiB of memory available; the app uses %d MiB on %s, so it needs about %d", a.seat.Server.Name, r.Available, r.Used, a.crew.primary().Server.Name, r.Needs()),
		Hint:    fmt.Sprintf("use a bigger server, or go on all the same: backend add %s %s --acknowledge %s", a.crew.app.Name, a.seat.Server.Name, plane.AckMemory),
	}
}
