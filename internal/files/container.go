package files

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Names of what carries out an app whose slots are containers. They are alike, and cannot meet: containers, networks and images
// have names of their own each.

// ContainerName is the container of one slot.
func ContainerName(app, slot string) string { return "sp-" + app + "-" + slot }

// NetworkName is the app's own network on a server.
func NetworkName(app string) string { return "sp-" + app }

// ImageName is the repository of the app's images on a server; a release's image bears its id as the tag.
func ImageName(app string) string { return "sp-" + app }

// BridgeName is the network interface of the app's network: at most 15 characters, of the app's id, since names of apps may be
// longer.
func BridgeName(id string) string { return "sp-" + id[max(0, len(id)-12):] }

// NetworkPath is the script that looks after the app's network and its rules, as the slot needs them (see Container.Network); 0640
// root:sp_<app>.
func NetworkPath(app, slot string) string { return SlotDir(app, slot) + "/network" }

// MountName names in the app's shared folder what a path of its containers is kept in. All lie side by side there: what a container
// may put into one never leads the way to another.
func MountName(path string) string {
	return strings.ReplaceAll(strings.TrimPrefix(path, "/"), "/", "+")
}

// ContainerPath is what the slot's container is made of (see Container.Create), variables included; 0600 root.
func ContainerPath(app, slot string) string { return SlotDir(app, slot) + "/container.json" }

// Container is what one slot needs to run as a container.
type Container struct {
	App, ID   string // name and id
	Slot      string // a or b
	Release   string // release id; its image is run
	Root      string // folder inside the release that the image was built of; empty: the release itself
	Port      uint16 // on the server's loopback
	Inside    uint16 // the one that is listened on in the container
	Server    string // the server's name, told to the process
	Memory    uint64 // limit in MiB, at least 16; 0: none
	Alone     bool   // as Unit.Alone
	Stop      time.Duration
	Variables []Var
	// Doors are addresses of this server, IPv4, that lead from inside the container to the same port of the server's own loopback,
	// as if this server itself had come: a database that lets nobody in but this server.
	Doors []netip.AddrPort
	// Authorities tells that the container sees the slot's certificates of databases (CAPath, CABundlePath) at the same paths.
	Authorities bool
	// Shared are paths inside the container that outlive releases on this server.
	Shared []string
}

func (c Container) check() error {
	if err := c.unit().check(); err != nil {
		return err
	}
	if err := checkID("id", "app", c.ID); err != nil {
		return err
	}
	if c.Inside == 0 {
		return refuse("inside", "must be 1 to 65535")
	}
	for _, d := range c.Doors {
		if !d.Addr().Is4() || d.Addr().IsLoopback() || d.Port() == 0 {
			return refuse("doors", "must be IPv4 addresses other than loopback, with a port")
		}
	}
	for _, path := range c.Shared {
		if !matches(`(/[A-Za-z0-9_.-]+)+`, path) || strings.Contains(path+"/", "/../") || strings.Contains(path+"/", "/./") {
			return refuse("shared", "must be absolute paths of letters, digits, ., _ and - between slashes")
		}
	}
	return checkVars(slices.SortedFunc(slices.Values(c.Variables), byName))
}

func (c Container) unit() Unit {
	return Unit{App: c.App, Slot: c.Slot, Release: c.Release, Root: c.Root, Port: c.Port, Server: c.Server, Memory: c.Memory, Stop: c.Stop, Alone: c.Alone}
}

// Create gives what Docker is asked to make the container of, as JSON.
//
// The process sees what Variables was given, and on top of it PORT, SERVERPLANE_RELEASE and SERVERPLANE_SERVER, which no variable
// can replace. HOST is 0.0.0.0 unless a variable says otherwise: a container's own loopback is reached by nobody.
func (c Container) Create() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	inside := fmt.Sprintf("%d/tcp", c.Inside)
	text, err := json.MarshalIndent(map[string]any{
		"Image":        ImageName(c.App) + ":" + c.Release,
		"Env":          c.environment(),
		"ExposedPorts": map[string]any{inside: struct{}{}},
		"HostConfig": map[string]any{
			"NetworkMode":   NetworkName(c.App),
			"PortBindings":  map[string]any{inside: []any{map[string]string{"HostIp": "127.0.0.1", "HostPort": fmt.Sprint(c.Port)}}},
			"Memory":        c.Memory << 20,
			"Binds":         c.binds(),
			"LogConfig":     map[string]string{"Type": "none"}, // the unit's journal has it all
			"SecurityOpt":   []string{"no-new-privileges"},
			"RestartPolicy": map[string]string{"Name": "no"}, // systemd starts it anew
		},
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode a container: %w", err)
	}
	return append(text, '\n'), nil
}

func (c Container) binds() []string {
	binds := []string{}
	if c.Authorities {
		for _, path := range []string{CAPath(c.App, c.Slot), CABundlePath(c.App, c.Slot)} {
			binds = append(binds, path+":"+path+":ro")
		}
	}
	for _, path := range c.Shared {
		binds = append(binds, SharedDir(c.App)+"/"+MountName(path)+":"+path)
	}
	return binds
}

func (c Container) environment() []string {
	all := map[string]string{"HOST": "0.0.0.0"}
	for _, v := range c.Variables {
		all[v.Name] = v.Value
	}
	maps.Copy(all, map[string]string{"PORT": fmt.Sprint(c.Inside), "SERVERPLANE_RELEASE": c.Release, "SERVERPLANE_SERVER": c.Server})
	var list []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, name+"="+all[name])
	}
	return list
}

// Unit gives the text of the unit that runs the slot's container in the foreground, as root: who may speak to Docker is root. None
// of the app's variables is in its environment, where LD_PRELOAD or DOCKER_HOST would mean something to what runs there.
func (c Container) Unit() (string, error) {
	if err := c.check(); err != nil {
		return "", err
	}
	dir, stop := ReleaseDir(c.App, c.Release), int(c.Stop.Seconds())
	if c.Root != "" {
		dir += "/" + c.Root
	}
	return fmt.Sprintf(containerUnit, c.App, c.Slot, dir, StartPath(c.App, c.Slot), ContainerName(c.App, c.Slot), stop, stop+10, c.unit().beside()), nil
}

// containerUnit: Docker stops the container by the image's own signal; the unit's signal reaches only the client, when that is over.
const containerUnit = `# Written by ServerPlane; changes made by hand are replaced.
[Unit]
Description=ServerPlane app %[1]s, slot %[2]s
After=network-online.target docker.service postgresql.service mariadb.service redis-server.service
Wants=network-online.target docker.service
%[8]sStartLimitIntervalSec=0

[Service]
Type=exec
WorkingDirectory=%[3]s
ExecStart=/bin/sh %[4]s
ExecStop=-/bin/sh -c 'docker --host unix:///run/docker.sock stop -t %[6]d %[5]s >/dev/null'
ExecStopPost=-/bin/sh -c 'docker --host unix:///run/docker.sock rm --force --volumes %[5]s >/dev/null'
Restart=always
RestartSec=1
KillMode=control-group
SuccessExitStatus=137 143
TimeoutStopSec=%[7]d
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=full
StandardOutput=journal
StandardError=journal
SyslogIdentifier=sp-%[1]s-%[2]s

[Install]
WantedBy=multi-user.target
`

// Start gives the script of the unit. Network and rules are looked after at each start, so that they are there again whatever was
// restarted or flushed meanwhile, before the container is.
func (c Container) Start() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, containerStart, ContainerName(c.App, c.Slot), NetworkPath(c.App, c.Slot), ContainerPath(c.App, c.Slot)), nil
}

const containerStart = `#!/bin/sh
# Written by ServerPlane; changes made by hand are replaced.
set -e
docker='docker --host unix:///run/docker.sock'
$docker rm --force --volumes %[1]s >/dev/null 2>&1 || true
/bin/sh %[2]s
answer=$(curl -q --silent --show-error --fail-with-body --noproxy '*' --unix-socket /run/docker.sock \
    --header 'Content-Type: application/json' --data-binary '@%[3]s' 'http://docker/containers/create?name=%[1]s') || { echo "$answer" >&2; exit 1; }
exec $docker start --attach %[1]s
`

// Network gives the script that looks after the app's network and its rules; one at a time, since slot and processes may start at once.
//
// The first rule lets nothing begin a connection into the app's network from outside it: Docker itself lets a neighbour on the same
// segment reach a port that is published on 127.0.0.1, and whoever has a route the container. What this server itself sends
// passes by the rule. Those of a door let a packet through to the loopback of this server, which is closed to all else from there.
func (c Container) Network() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	doors := ""
	if len(c.Doors) > 0 {
		doors = fmt.Sprintf(containerLoopback, BridgeName(c.ID))
	}
	for _, d := range c.Doors {
		doors += fmt.Sprintf(containerDoor, BridgeName(c.ID), d.Addr(), d.Port())
	}
	return fmt.Appendf(nil, containerNetwork, NetworkName(c.App), BridgeName(c.ID), c.App, doors), nil
}

const containerNetwork = `#!/bin/sh
# Written by ServerPlane; changes made by hand are replaced.
set -e
docker='docker --host unix:///run/docker.sock'
mkdir -p /run/serverplane
exec 9>/run/serverplane/%[3]s.network
flock 9
bridge=$($docker network inspect --format '{{index .Options "com.docker.network.bridge.name"}}' %[1]s 2>/dev/null || true)
if [ "$bridge" != %[2]s ]; then
    $docker network rm %[1]s >/dev/null 2>&1 || true
    $docker network create --driver bridge --opt com.docker.network.bridge.name=%[2]s %[1]s >/dev/null
fi
keep() {
    table=$1 chain=$2
    shift 2
    iptables -w 10 -t "$table" -C "$chain" -m comment --comment serverplane-%[3]s "$@" 2>/dev/null ||
        iptables -w 10 -t "$table" -I "$chain" -m comment --comment serverplane-%[3]s "$@"
}
keep filter DOCKER-USER ! -i %[2]s -o %[2]s -m conntrack --ctstate NEW -j DROP
%[4]s`

const containerLoopback = `keep filter INPUT -i %[1]s -d 127.0.0.0/8 -m conntrack ! --ctstate DNAT -j DROP
echo 1 >/proc/sys/net/ipv4/conf/%[1]s/route_localnet
`

const containerDoor = `keep filter INPUT -i %[1]s -d 127.0.0.1/32 -p tcp --dport %[3]d -m conntrack --ctstate DNAT -j ACCEPT
keep nat INPUT -i %[1]s -d 127.0.0.1/32 -p tcp --dport %[3]d -j SNAT --to-source 127.0.0.1
keep nat PREROUTING -i %[1]s -d %[2]s/32 -p tcp --dport %[3]d -j DNAT --to-destination 127.0.0.1:%[3]d
`
