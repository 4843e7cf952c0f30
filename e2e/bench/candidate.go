package main

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/serverplane/serverplane/internal/nginx"
)

// candidate is one way to reach the three backends.
type candidate struct {
	name    string
	address string // what the visitor asks
	files   []file // on the balancer
	command string // what runs there; empty: nothing
}

// Names of the candidates.
const (
	entryName     = "entry"
	combinedName  = "entry-combined" // the entry, with the log line the others write
	secondName    = "entry-b"        // the entry while slot b is live
	panelName     = "panel"
	referenceName = "reference"
	haproxyName   = "haproxy"
	directName    = "direct"
)

func (y yard) candidates() ([]candidate, error) {
	var all []candidate
	for n, name := range []string{entryName, combinedName, secondName} {
		entry, err := y.entry(name, uint16(80+n*8000))
		if err != nil {
			return nil, err
		}
		all = append(all, entry)
	}
	direct := candidate{name: directName, address: netip.AddrPortFrom(y.backends[0].Addr, slotA).String()}
	return append(all, y.panelStyle(), y.reference(), y.haproxy(), direct), nil
}

// bufferedLog is how a line per request gets into the log; the entry brings its
// own, buffered alike.
const bufferedLog = " combined buffer=64k flush=1s"

// The ports of the backends' two slots.
const (
	slotA = 20003
	slotB = 20004
)

func backendConf(at netip.Addr) string {
	return fmt.Sprintf(`user www-data;
worker_processes auto;
pid /run/bench-backend.pid;
error_log stderr;
worker_rlimit_nofile 65536;
events { worker_connections 4096; }
http {
    access_log off;
    keepalive_requests 1000000;
    default_type text/plain;
    server {
        listen %[1]s:%[2]d;
        listen %[1]s:%[3]d;
        location / { return 200 "%[4]s"; }
    }
}
`, at, slotA, slotB, strings.Repeat("0123456789abcde\n", answerBytes/16))
}

// entry is what ServerPlane puts on a primary, byte for byte but for the port
// where it is not 80, and the log of one. Its files stand in a folder of their
// own, since the one in conf.d would meet another entry's. Each is an app of its
// own name; the marker of one is there.
func (y yard) entry(name string, port uint16) (candidate, error) {
	rendered, err := nginx.Render(y.tree(name))
	if err != nil {
		return candidate{}, err
	}
	dir := "/etc/bench/" + name
	c := y.nginxCandidate(name, port, "    include "+dir+"/conf.d/*.conf;\n")
	c.files[0].text = strings.Replace(c.files[0].text, "worker_rlimit_nofile 65536;\n", "include "+dir+"/modules-enabled/*.conf;\n", 1)
	c.command = "sh -c 'mkdir -p /var/lib/serverplane/live /var/lib/serverplane/announced; true >/var/lib/serverplane/live/" + secondName + ".b; exec " + strings.ReplaceAll(c.command, "'", `"`) + "'"
	for _, f := range rendered.Files {
		text := elsewhere(f.Text, port)
		if name == combinedName {
			text = strings.Replace(text, ".access.log serverplane buffer", ".access.log combined buffer", 1)
		}
		c.files = append(c.files, file{dir + "/" + f.Path, text})
	}
	return c, nil
}

// elsewhere lets a second rendering run beside the first.
func elsewhere(text string, port uint16) string {
	if port == 80 {
		return text
	}
	return strings.NewReplacer(
		"listen 80 ", fmt.Sprintf("listen %d ", port), "listen [::]:80 ", fmt.Sprintf("listen [::]:%d ", port),
		nginx.VersionAddress, local(port, 0), "127.0.0.1:20003;", local(port, 3)+";", "127.0.0.1:20004;", local(port, 4)+";",
	).Replace(text)
}

// local is a loopback address of the entry on port that no other entry has.
func local(port, n uint16) string { return fmt.Sprintf("127.0.0.1:%d", 20000+port/8000*10+n) }

func (y yard) tree(app string) nginx.Tree {
	at := func(a netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(a, port) }
	loopback := netip.MustParseAddr("127.0.0.1")
	entry := &nginx.Entry{Method: nginx.RoundRobin}
	for n, s := range y.backends {
		entry.Backends = append(entry.Backends, nginx.Backend{
			ID: fmt.Sprintf("bck_%016d", n), A: at(s.Addr, slotA), B: at(s.Addr, slotB), Weight: 1,
		})
	}
	return nginx.Tree{Sites: []nginx.Site{{
		App: app, ID: "app_0000000000000001", Trust: loopback, Entry: entry,
		A: nginx.Local{Listen: at(loopback, slotA), Process: at(loopback, 20001)},
		B: nginx.Local{Listen: at(loopback, slotB), Process: at(loopback, 20002)},
	}}}
}

// nginxConf is Debian's nginx.conf with a server of its own.
func nginxConf(name, http string) string {
	return fmt.Sprintf(`user www-data;
worker_processes auto;
pid /run/bench-%[1]s.pid;
error_log /var/log/nginx/error-%[1]s.log;
worker_rlimit_nofile 65536;
events { worker_connections 768; }
http {
    sendfile on;
    tcp_nopush on;
    types_hash_max_size 2048;
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3;
    ssl_prefer_server_ciphers on;
    access_log /var/log/nginx/access-%[1]s.log%[2]s;
    gzip on;
%[3]s}
`, name, bufferedLog, http)
}

func (y yard) nginxCandidate(name string, port uint16, http string) candidate {
	path := "/etc/bench/" + name + ".conf"
	return candidate{
		name: name, address: netip.AddrPortFrom(y.balancer.Addr, port).String(),
		files: []file{{path, nginxConf(name, http)}}, command: "nginx -c " + path + " -g 'daemon off;'",
	}
}

func (y yard) servers(line string) string {
	var b strings.Builder
	for n, s := range y.backends {
		fmt.Fprintf(&b, line, n+1, netip.AddrPortFrom(s.Addr, slotA))
	}
	return b.String()
}

// panelStyle is what control panels write when they balance: an upstream and a
// proxy_pass, which is HTTP/1.0 and a new connection for each request.
func (y yard) panelStyle() candidate {
	return y.nginxCandidate(panelName, 8081, fmt.Sprintf(`    upstream bench {
%s    }
    server {
        listen 8081;
        location / {
            proxy_pass http://bench;
            proxy_set_header Host $host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
        }
    }
`, y.servers("        server %[2]s; # %[1]d\n")))
}

// reference is what a person writes who knows Nginx and wants only speed.
func (y yard) reference() candidate {
	return y.nginxCandidate(referenceName, 8082, fmt.Sprintf(`    upstream bench {
        zone bench 128k;
%s        keepalive 64;
    }
    server {
        listen 8082;
        location / {
            proxy_pass http://bench;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
        }
    }
`, y.servers("        server %[2]s; # %[1]d\n")))
}

// haproxy writes a line per request to a file, as the others do.
func (y yard) haproxy() candidate {
	path := "/etc/bench/haproxy.cfg"
	text := fmt.Sprintf(`global
    maxconn 4096
    log stdout format raw local0 info
defaults
    mode http
    log global
    option httplog
    option forwardfor
    timeout connect 2s
    timeout client 60s
    timeout server 60s
frontend visitors
    bind :8083
    default_backend bench
backend bench
    balance roundrobin
%s`, y.servers("    server backend%[1]d %[2]s\n"))
	return candidate{
		name: haproxyName, address: netip.AddrPortFrom(y.balancer.Addr, 8083).String(),
		files: []file{{path, text}}, command: "haproxy -f " + path,
	}
}
