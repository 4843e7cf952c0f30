package files

import (
	"encoding/json"
	"fmt"
	"strings"
)

// An app whose slots are containers has its processes in containers, too: of the same image, on the same network, with the
// slot's own variables, limits and shared paths, and reached by nobody.

// ContainerProcessUnit is ProcessUnit for such an app. What runs is a shell of root's that holds the container in the foreground; none of
// the app's variables is in its environment.
func ContainerProcessUnit(p Process) (string, error) {
	if err := p.check(); err != nil {
		return "", err
	}
	return fmt.Sprintf(processHead, "process "+p.Name+" %i", p.App, p.Deployment, "StartLimitIntervalSec=0\n") +
		"Type=exec\nSlice=system.slice\nRestart=always\nRestartSec=2\n" + p.containerBody("_p_", "%i") + "\n[Install]\nWantedBy=multi-user.target\n", nil
}

// ContainerCronRunUnit is CronRunUnit for such an app.
func ContainerCronRunUnit(p Process) (string, error) {
	if err := p.check(); err != nil {
		return "", err
	}
	return fmt.Sprintf(processHead, "cron entry "+p.Name, p.App, p.Deployment, "") + "Type=oneshot\n" + p.containerBody("_c_", "1"), nil
}

func (p Process) containerBody(kind, instance string) string {
	unit := "sp-" + p.App + kind + p.Name
	return fmt.Sprintf(containerProcessBody, p.folder(), p.Release, p.Server, p.Name, instance, ProcessScript(p.App, p.Name), int(p.Stop.Seconds()), unit)
}

// containerProcessBody: only the shell is told to stop, and it tells what is in the container (see ContainerProcessScript). A container
// that outlived its unit would be a second one of what runs once.
const containerProcessBody = `WorkingDirectory=%[1]s
ExecStart=/usr/bin/env SERVERPLANE_RELEASE=%[2]s SERVERPLANE_SERVER=%[3]s SERVERPLANE_PROCESS=%[4]s SERVERPLANE_INSTANCE=%[5]s /bin/sh %[6]s
ExecStopPost=-/bin/sh -c 'docker --host unix:///run/docker.sock rm --force --volumes %[8]s.%[5]s >/dev/null'
KillMode=mixed
SuccessExitStatus=143
TimeoutStartSec=infinity
TimeoutStopSec=%[7]d
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=full
StandardOutput=journal
StandardError=journal
SyslogIdentifier=%[8]s
`

// ContainerProcessScript gives the script of such a unit: it makes the container of what the slot's own is made of, with the
// command instead of the image's, and stays until that ends. On SIGTERM every process in the container is told, as systemd
// does elsewhere; the first one is Docker's, which ends with the command.
func ContainerProcessScript(p Process, command string, cron bool) ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	if err := checkCommand("command", command); err != nil {
		return nil, err
	}
	argv, err := json.Marshal(containerCommand(command))
	if err != nil {
		return nil, fmt.Errorf("encode a command: %w", err)
	}
	kind := "_p_"
	if cron {
		kind = "_c_"
	}
	return fmt.Appendf(nil, containerProcess, "sp-"+p.App+kind+p.Name, NetworkPath(p.App, p.Slot), ContainerPath(p.App, p.Slot), ImageName(p.App)+":"+p.Release, quote(string(argv))), nil
}

// containerCommand is what is carried out in the container. A line of plain words that begins with a path needs no shell, which an image
// FROM scratch does not have; any other line is given to the image's.
func containerCommand(line string) []string {
	if matches(`[ \t]*(/[A-Za-z0-9_.+-]+)+([ \t]+[A-Za-z0-9_.,:=@%+/-]+)*[ \t]*`, line) {
		return strings.Fields(line)
	}
	return []string{"/bin/sh", "-ec", foreground(line)}
}

const containerProcess = `#!/bin/sh
# Written by ServerPlane; changes made by hand are replaced.
set -e
name=%[1]s.$SERVERPLANE_INSTANCE
docker='docker --host unix:///run/docker.sock'
$docker rm --force --volumes "$name" >/dev/null 2>&1 || true
/bin/sh %[2]s
made=$(/usr/bin/python3 -c '
import json, os, sys
with open(sys.argv[1]) as f:
    made = json.load(f)
ours = ("SERVERPLANE_RELEASE", "SERVERPLANE_SERVER", "SERVERPLANE_PROCESS", "SERVERPLANE_INSTANCE")
kept = [e for e in made["Env"] if e.split("=", 1)[0] not in ours + ("PORT",)]
made.update({"Image": sys.argv[2], "Entrypoint": json.loads(sys.argv[3]), "Cmd": [], "ExposedPorts": {}, "Healthcheck": {"Test": ["NONE"]}})
made["Env"] = kept + [n + "=" + os.environ[n] for n in ours]
made["HostConfig"].update({"PortBindings": {}, "Init": True})
print(json.dumps(made))
' %[3]s %[4]s %[5]s)
answer=$(printf '%%s\n' "$made" | curl -q --silent --show-error --fail-with-body --noproxy '*' --unix-socket /run/docker.sock \
    --header 'Content-Type: application/json' --data-binary @- "http://docker/containers/create?name=$name") || { echo "$answer" >&2; exit 1; }
ending='' told=''
end() {
    ending=yes
    first=$($docker inspect --format '{{.State.Pid}}' "$name" 2>/dev/null)
    for pid in $($docker top "$name" -eo pid 2>/dev/null | sed 1d); do
        [ "$pid" = "$first" ] || ! kill -TERM "$pid" 2>/dev/null || told=yes
    done
}
trap end TERM
set +e
$docker start --attach "$name" &
client=$!
while :; do
    wait "$client"
    status=$?
    kill -0 "$client" 2>/dev/null || exit "$status"
    for try in 1 2 3 4 5 6 7 8 9 10; do # it was told to stop before anything ran in it
        [ -n "$ending" ] && [ -z "$told" ] || break
        sleep 0.5
        end
    done
done
`
