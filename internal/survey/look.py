# Looks at a server and prints what it found as JSON. Changes nothing.
# Runs as root with Python 3.9 or later and the standard library only.
import glob
import ipaddress
import json
import os
import re
import shutil
import subprocess
import sys
import time


def call(*args):
    """Runs a program with untranslated output, which we read; None when it is absent or hangs."""
    try:
        return subprocess.run(
            args, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="replace",
            env={**os.environ, "LC_ALL": "C"}, timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None


def run(*args):
    """The standard output of a program, or "" when it is absent or fails."""
    done = call(*args)
    return done.stdout if done and done.returncode == 0 else ""


def system(path="/etc/os-release"):
    facts = {}
    try:
        with open(path) as f:
            for line in f:
                name, _, value = line.strip().partition("=")
                facts[name] = value.strip('"')
    except OSError:
        pass
    family = facts.get("ID", "")
    if family != "debian" and "debian" in facts.get("ID_LIKE", "").split():
        family = "debian"
    return {"os": facts.get("PRETTY_NAME", "unknown"), "os_family": family, "os_version": facts.get("VERSION_ID", "")}


def memory():
    found = {}
    with open("/proc/meminfo") as f:
        for line in f:
            name, value = line.split(":")
            found[name] = int(value.split()[0]) // 1024
    return {"memory_mib": found.get("MemTotal", 0), "swap_mib": found.get("SwapTotal", 0)}


def addresses():
    found = []
    for line in run("ip", "-o", "addr", "show", "scope", "global").splitlines():
        match = re.search(r"\binet6? ([0-9a-f.:]+)", line)
        if match:
            found.append(match.group(1))
    route = re.search(r"\bsrc ([0-9.]+)", run("ip", "-4", "route", "get", "192.0.2.1"))
    if not route:
        route = re.search(r"\bsrc ([0-9a-f:]+)", run("ip", "-6", "route", "get", "2001:db8::1"))
    return {"addresses": found, "default_address": route.group(1) if route else ""}


def sockets():
    found = []
    for proto, flag in (("tcp", "-t"), ("udp", "-u")):
        done = call("ss", "-H", "-l", "-n", "-p", flag)
        if not done or done.returncode != 0:
            # without it nothing would seem to listen, and a firewall would close all of it
            sys.exit("ss does not work, so what listens is not known; install iproute2")
        for line in done.stdout.splitlines():
            parts = line.split()
            if len(parts) < 5:
                continue
            host, _, port = parts[3].rpartition(":")
            host = host.partition("%")[0].strip("[]")
            name = re.search(r'\(\("([^"]+)"', line)
            found.append({
                "proto": proto,
                "address": "0.0.0.0" if host == "*" else host,
                "port": int(port) if port.isdigit() else 0,
                "process": name.group(1) if name else "",
            })
    unique = {tuple(s.values()): s for s in found}
    return [unique[key] for key in sorted(unique)]


def ssh_port():
    connection = os.environ.get("SSH_CONNECTION", "").split()
    if len(connection) == 4:
        return int(connection[3])
    # sudo drops the variable: ask the parents, the sshd of this session among them
    pid = os.getpid()
    while pid > 1:
        try:
            with open(f"/proc/{pid}/environ", "rb") as f:
                for entry in f.read().split(b"\0"):
                    if entry.startswith(b"SSH_CONNECTION="):
                        return int(entry.split(b" ")[3])
            with open(f"/proc/{pid}/stat") as f:
                pid = int(f.read().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            break
    return 22


def firewall():
    if run("firewall-cmd", "--state").strip() == "running":
        return "firewalld"
    state = run("ufw", "status") if shutil.which("ufw") else ""
    if state.startswith("Status: active"):
        return "ufw"
    rules = run("nft", "list", "ruleset") if shutil.which("nft") else ""
    foreign = [c for c in re.findall(r"type filter hook input [^;]*; policy (\w+)", rules) if c == "drop"]
    if foreign:
        return "nftables"
    return "ufw-inactive" if state else "none"


def nginx():
    sites = []
    for pattern in ("/etc/nginx/sites-enabled/*", "/etc/nginx/conf.d/*.conf"):
        sites += glob.glob(pattern)
    broken = ""
    if shutil.which("nginx"):
        done = call("nginx", "-t", "-q")
        broken = "nginx -t does not end" if not done else "" if done.returncode == 0 else done.stderr.strip()[:2000]
    path, explicit = nginx_default(sites)
    return {"nginx_sites": sorted(sites), "nginx_broken": broken, "nginx_default": path, "nginx_default_explicit": explicit}


def nginx_default(sites):
    """The file of somebody else's whose site answers names on port 80 that no site has, and whether it says so itself.

    Nginx takes the first site it reads where none says default_server: conf.d comes before sites-enabled on Debian."""
    try:
        with open("/var/lib/serverplane/nginx.json", encoding="utf-8") as f:
            ours = {"/etc/nginx/" + path for path in json.load(f)["files"]}
    except (OSError, ValueError, KeyError):
        ours = set()
    first = ""
    for path in sorted(sites, key=lambda p: (not p.startswith("/etc/nginx/conf.d/"), p)):
        if path in ours:
            continue
        try:
            with open(path, encoding="utf-8", errors="replace") as f:
                text = re.sub(r"#.*", "", f.read())
        except OSError:
            continue
        for words in (match.split() for match in re.findall(r"\blisten\s+([^;]+);", text)):
            port = words[0].rpartition(":")[2] if not words[0].endswith("]") else "80"
            if port != "80" and (port.isdigit() or port.startswith("/")):
                continue
            if "default_server" in words or "default" in words:
                return path, True
            first = first or path
    return first, False


def databases():
    found = []
    for name, program in (("postgresql", "postgres"), ("mariadb", "mariadbd"), ("mysql", "mysqld"), ("redis", "redis-server")):
        if shutil.which(program) or glob.glob(f"/usr/lib/postgresql/*/bin/{program}"):
            found.append(name)
    return found


def apt_lock():
    for path in ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock", "/var/lib/apt/lists/lock"):
        try:
            inode = os.stat(path).st_ino
        except OSError:
            continue
        with open("/proc/locks") as f:
            for line in f:
                parts = line.split()
                if len(parts) > 5 and parts[5].endswith(f":{inode}"):
                    try:
                        with open(f"/proc/{parts[4]}/comm") as c:
                            return f"{c.read().strip()} (process {parts[4]})"
                    except OSError:
                        return f"process {parts[4]}"
    return ""


def panel():
    try:
        with open("/etc/serverplane/panel") as f:
            return f.read().strip()[:100]
    except OSError:
        return ""


def look():
    disk = os.statvfs("/home" if os.path.isdir("/home") else "/")
    report = {
        "arch": os.uname().machine,
        "cores": os.cpu_count() or 0,
        "disk_free_mib": disk.f_bavail * disk.f_frsize >> 20,
        "listening": sockets(),
        "ssh_port": ssh_port(),
        "firewall": firewall(),
        "databases": databases(),
        "apt_lock": apt_lock(),
        "panel": panel(),
        "node": run("node", "--version").strip(),
        "clock": time.time(),
    }
    for part in (system(), memory(), addresses(), nginx()):
        report.update(part)
    report["addresses"] = [a for a in report["addresses"] if not ipaddress.ip_address(a).is_loopback]
    return report


if __name__ == "__main__":
    print(json.dumps(look()))
