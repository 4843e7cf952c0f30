//go:build e2e

package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
)

// tenant is an app as the programs below know it.
type tenant struct {
	App    string `json:"app"`
	Slot   string `json:"slot"`
	PID    string `json:"pid"` // of what runs in the live slot on this server
	Engine string `json:"engine"`
	Host   string `json:"host"` // of the engine
}

// strangers tries, as each app's user and with its variables, what is another's on each server. What succeeds is printed.
func strangers(t *testing.T, w *kindWorld) {
	for _, s := range kindServers {
		w.put(t, s, "/tmp/as", asProgram)
		w.put(t, s, "/tmp/stranger", strangerProgram)
		w.put(t, s, "/tmp/stranger.php", strangerDatabases)
	}
	var all errgroup.Group
	for _, s := range kindServers {
		all.Go(func() error {
			tenants := w.tenants(t, s)
			w.rootCan(t, s, tenants)
			for _, me := range tenants {
				w.tries(t, s, me, tenants)
			}
			return nil
		})
	}
	must(t, all.Wait())
}

// tenants are all apps on a server.
func (w *kindWorld) tenants(t *testing.T, server string) []tenant {
	t.Helper()
	var all []tenant
	for _, k := range w.rows {
		slot := w.slotOf(t, k.app)
		pid := "systemctl show -p MainPID --value sp-" + k.app + "-" + slot
		if k.kind == "docker" {
			pid = "docker inspect -f '{{.State.Pid}}' sp-" + k.app + "-" + slot
		}
		host := w.servers["s1"].Addr.String()
		if server == "s1" {
			host = "127.0.0.1"
		}
		all = append(all, tenant{App: k.app, Slot: slot, PID: w.ssh(t, server, pid), Engine: k.engine, Host: host})
	}
	return all
}

// rootCan holds that each kind of try means something.
func (w *kindWorld) rootCan(t *testing.T, server string, tenants []tenant) {
	t.Helper()
	told, err := json.Marshal(map[string]any{"me": "", "all": tenants})
	must(t, err)
	out, err := w.servers[server].SSH(w.ctx, "python3 /tmp/stranger", strings.NewReader(string(told)))
	must(t, err)
	for _, o := range tenants {
		for _, what := range []string{
			"list /home/sp_" + o.App, "write into /home/sp_" + o.App, "list /etc/serverplane/apps/" + o.App, "write into /etc/serverplane/apps/" + o.App + "/" + o.Slot,
			"read /var/lib/serverplane/apps/" + o.App + ".json", "read the variables of " + o.PID, "read the memory of " + o.PID, "enter the folder of " + o.PID, "signal " + o.PID,
		} {
			if !strings.Contains(out, "can "+what+"\n") {
				t.Errorf("on %s not even root can %s: the try proves nothing", server, what)
			}
		}
	}
	for what, n := range map[string]int{"can ask its php-fpm\n": 3, "/env\n": 6, "/container.json\n": 1, "can ask Docker\n": len(tenants)} {
		if got := strings.Count(out, what); got != n {
			t.Errorf("on %s root can %d times %q; want %d", server, got, what, n)
		}
	}
}

func (w *kindWorld) tries(t *testing.T, server string, me tenant, tenants []tenant) {
	t.Helper()
	told, err := json.Marshal(map[string]any{"me": me.App, "all": tenants})
	must(t, err)
	for _, program := range []string{"python3 /tmp/stranger", "php /tmp/stranger.php"} {
		out, err := w.servers[server].SSH(w.ctx, "python3 /tmp/as "+me.PID+" sp_"+me.App+" "+program, strings.NewReader(string(told)))
		must(t, err)
		want := "tried"
		if strings.HasPrefix(program, "php") && me.Engine != "" && (me.App != "box" || server != "s1") {
			want = "own\ntried" // a container on the primary is let in by a door of its own
		}
		if got := strings.TrimSpace(out); got != want {
			t.Errorf("on %s %s, by %s: %s; want %s", server, me.App, program, got, want)
		}
	}
}

// asProgram carries out a command as a user, with the variables of a process.
const asProgram = `import os, pwd, sys
pid, user = sys.argv[1:3]
with open("/proc/%s/environ" % pid, "rb") as f:
    variables = dict(v.split(b"=", 1) for v in f.read().split(b"\0") if b"=" in v)
variables.setdefault(b"PATH", b"/usr/local/bin:/usr/bin:/bin")
who = pwd.getpwnam(user)
os.initgroups(user, who.pw_gid)
os.setgid(who.pw_gid)
os.setuid(who.pw_uid)
os.chdir("/")
os.execvpe(sys.argv[3], sys.argv[3:], variables)
`

// strangerProgram tries files, variables, processes and sockets. That all of it would succeed with the rights is held by trying as root.
const strangerProgram = `import json, os, pwd, socket, sys
asked = json.load(sys.stdin)

def connect(path):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)

def works_in(app):
    uid = pwd.getpwnam("sp_" + app).pw_uid
    return [p for p in os.listdir("/proc") if p.isdigit() and owner(p) == uid]

def owner(pid):
    try:
        return os.stat("/proc/" + pid).st_uid
    except OSError:
        return None  # it has ended

def read(path):
    with open(path, "rb") as f:
        f.read(1)

def leave(path):
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
    os.unlink(path)

def tries(o):
    home, config, run = "/home/sp_" + o["app"], "/etc/serverplane/apps/" + o["app"], "/run/sp-%s-%s" % (o["app"], o["slot"])
    for folder in (home, home + "/releases", home + "/shared", home + "/logs", config, config + "/" + o["slot"], run):
        yield "list " + folder, lambda: os.listdir(folder)
        yield "write into " + folder, lambda: leave(folder + "/stranger")
    for file in (config + "/" + o["slot"] + "/env", config + "/" + o["slot"] + "/container.json", "/var/lib/serverplane/apps/" + o["app"] + ".json"):
        yield "read " + file, lambda: read(file)
    for pid in {o["pid"], *works_in(o["app"])}:
        yield "read the variables of " + pid, lambda: read("/proc/%s/environ" % pid)
        yield "read the memory of " + pid, lambda: open("/proc/%s/mem" % pid, "rb").close()
        yield "enter the folder of " + pid, lambda: os.listdir("/proc/%s/cwd/." % pid)
        yield "signal " + pid, lambda: os.kill(int(pid), 0)
    yield "ask its php-fpm", lambda: connect(run + "/fpm.sock")
    yield "ask Docker", lambda: connect("/run/docker.sock")

def succeeds(do):
    try:
        do()
        return True
    except OSError:
        return False

for other in asked["all"]:
    if other["app"] != asked["me"]:
        for what, do in tries(other):
            if succeeds(do):
                print("can", what)
print("tried")
`

// strangerDatabases tries to sign in to each other app's database: as who it is itself, as the other with its own password or none,
// and by the engine's socket. That it can sign in to its own says that the tries mean something.
const strangerDatabases = `<?php
$asked = json_decode(stream_get_contents(STDIN), true);
function signsIn($engine, $host, $database, $user, $password) {
    $socket = $host[0] === '/';
    $dsn = $engine === 'mariadb' ? 'mysql:' . ($socket ? "unix_socket=$host/mysqld/mysqld.sock" : "host=$host") : 'pgsql:host=' . ($socket ? "$host/postgresql" : $host) . ';connect_timeout=5';
    try {
        new PDO("$dsn;dbname=$database", $user, $password, [PDO::ATTR_TIMEOUT => 5]);
        return true;
    } catch (PDOException $e) {
        return false;
    }
}
$me = getenv('DB_USERNAME') ?: 'sp_' . $asked['me'];
$password = getenv('DB_PASSWORD') ?: '';
foreach ($asked['all'] as $o) {
    if ($o['engine'] === '') continue;
    $database = 'sp_' . $o['app'];
    if ($o['app'] === $asked['me']) {
        if (signsIn($o['engine'], getenv('DB_HOST'), getenv('DB_DATABASE'), $me, $password)) echo "own\n";
        continue;
    }
    foreach ([$o['host'], '/run'] as $host) {
        foreach ([[$me, $password], [$database, $password], [$database, '']] as [$user, $word]) {
            if (signsIn($o['engine'], $host, $database, $user, $word)) echo "can sign in to {$o['app']} at $host as $user\n";
        }
    }
}
echo "tried\n";
`
