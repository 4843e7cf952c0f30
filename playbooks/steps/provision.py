"""Makes a fresh server ready for apps.

SPEC: panel (id), adopt, guard, switch, sudoers, sshd, sysctl (texts of files).
"""

import glob
import hashlib

PACKAGES = ["nginx", "ufw", "python3", "rsync", "curl", "acl", "git", "cron", "ca-certificates", "sudo", "logrotate"]
DEFAULT_SITE = "/etc/nginx/sites-enabled/default"
DEFAULT_FILE = "/etc/nginx/sites-available/default"
NGINX_CONF = "/etc/nginx/nginx.conf"
CONNECTIONS = 8192


def check_owner():
    owner = (read("/etc/serverplane/panel") or b"").decode("utf-8", "replace").strip()
    if owner not in ("", SPEC["panel"]) and not SPEC["adopt"]:
        fail("this server belongs to another panel (%s); adopt it to take it over" % owner)


def install_packages():
    """Nginx must not start by being installed: its packaged site would answer on port 80 or fail to bind it."""
    if not missing_packages(PACKAGES):
        return
    policy = "/usr/sbin/policy-rc.d"
    ours = not os.path.lexists(policy)
    if ours:
        write(policy, "#!/bin/sh\ncase $1 in nginx|nginx.service) exit 101;; esac\nexit 0\n", 0o755, quiet=True)
    try:
        install(PACKAGES)
    finally:
        if ours:
            os.unlink(policy)


def calm_needrestart():
    """needrestart, where it is installed, would restart apps in the middle of the day after an upgrade of a library."""
    if os.path.isdir("/etc/needrestart/conf.d"):
        write("/etc/needrestart/conf.d/serverplane.conf", "# Written by ServerPlane\n$nrconf{override_rc}{qr(^sp-)} = 0;\n")


def folders():
    for path in ("/etc/serverplane", "/etc/serverplane/apps", "/usr/local/lib/serverplane", STATE, STATE + "/live"):
        folder(path)
    folder(STATE + "/apps", 0o700)


def sudoers():
    path = "/etc/sudoers.d/serverplane"
    if read(path) == SPEC["sudoers"].encode():
        return
    with tempfile.NamedTemporaryFile() as f:
        f.write(SPEC["sudoers"].encode())
        f.flush()
        run("visudo", "-cf", f.name)
    write(path, SPEC["sudoers"], 0o440)


def sysctl():
    path = "/etc/sysctl.d/60-serverplane.conf"
    write(path, SPEC["sysctl"])
    run("/lib/systemd/systemd-sysctl", path)
    if (read("/proc/sys/net/ipv4/ip_nonlocal_bind") or b"").strip() != b"1":
        fail("net.ipv4.ip_nonlocal_bind could not be set to 1 on this server")


def forwarding():
    text = output("/usr/sbin/sshd", "-T", "-C", "user=serverplane,host=panel,addr=127.0.0.1")
    found = re.search(r"^allowtcpforwarding (\S+)", text, re.M)
    return bool(found) and found.group(1) in ("yes", "local")


def sshd():
    folder("/run/sshd")
    main = (read("/etc/ssh/sshd_config") or b"").decode("utf-8", "replace")
    if not re.search(r"^\s*Include\s+.*sshd_config\.d/", main, re.M | re.I):
        if not forwarding():
            say("note: /etc/ssh/sshd_config has no Include of sshd_config.d and forbids forwarding; health checks will be run on "
                "the server instead. To allow it put this at its end:\n" + SPEC["sshd"])
        return
    path = "/etc/ssh/sshd_config.d/10-serverplane.conf"
    before = read(path)
    if not write(path, SPEC["sshd"]):
        return
    tested = run("/usr/sbin/sshd", "-t", check=False)
    if tested.returncode != 0:
        os.unlink(path) if before is None else write(path, before)
        fail("sshd refuses its configuration with our drop-in, which was taken back", tested.stderr)
    for unit in ("ssh.service", "sshd.service"):
        if active(unit):
            run("systemctl", "reload", unit)
            break
    if not forwarding():
        say("note: forwarding is still forbidden for serverplane; health checks will be run on the server instead")


def as_packaged(path):
    """Is this file of Nginx's still what its package brought?"""
    text = output("dpkg-query", "-W", "-f", "${Conffiles}\n", "nginx-common", "nginx")
    sums = dict(line.split()[:2] for line in text.splitlines() if len(line.split()) >= 2)
    data = read(path)
    return data is not None and sums.get(path) == hashlib.md5(data).hexdigest()


def our_nginx_files():
    try:
        return set(json.loads(read(STATE + "/nginx.json") or b"{}").get("files", {}))
    except (ValueError, AttributeError):
        return set()


def foreign_sites():
    """Files of sites that are neither ours nor Debian's default."""
    sites = os.listdir("/etc/nginx/sites-enabled") if os.path.isdir("/etc/nginx/sites-enabled") else []
    return [s for s in sites if s != "default" or os.path.realpath(DEFAULT_SITE) != DEFAULT_FILE] + [
        p for p in glob.glob("/etc/nginx/conf.d/*.conf") if os.path.relpath(p, "/etc/nginx") not in our_nginx_files()]


def only_default():
    return os.path.lexists(DEFAULT_SITE) and not foreign_sites()


def connections(text):
    found = re.search(rb"^\s*worker_connections\s+(\d+)\s*;", text, re.M)
    return int(found.group(1)) if found else 512  # Nginx's own default


def more_connections():
    """Debian's 768 connections a worker end at about 380 visitors at once on a primary that serves itself: each takes two or more.

    The limit can only stand in nginx.conf, which is not ours: it is edited while it is the packaged one and serves nobody else's
    sites.
    """
    text = read(NGINX_CONF)
    if text is None or connections(text) >= CONNECTIONS:
        return
    advice = "note: %s allows %d connections a worker; for many visitors set worker_connections to %d there" % (NGINX_CONF, connections(text), CONNECTIONS)
    if foreign_sites() or not as_packaged(NGINX_CONF):
        say(advice)
        return
    wider = re.sub(rb"^(\s*worker_connections\s+)\d+\s*;", rb"\g<1>%d;" % CONNECTIONS, text, flags=re.M)
    write(NGINX_CONF, wider)
    if run("nginx", "-t", check=False).returncode != 0:
        write(NGINX_CONF, text)
        say(advice)
        return
    changed("nginx allows %d connections a worker instead of %d" % (CONNECTIONS, connections(text)))
    if active("nginx.service"):
        run("systemctl", "reload", "nginx.service")


def nginx():
    more_connections()
    if only_default() and as_packaged(DEFAULT_FILE):
        os.unlink(DEFAULT_SITE)
        changed("removed Debian's unchanged default site of Nginx")
        if active("nginx.service"):
            run("systemctl", "reload", "nginx.service")
    if not os.path.exists("/etc/systemd/system/multi-user.target.wants/nginx.service"):
        run("systemctl", "enable", "nginx.service")
        changed("nginx starts at boot")
    if active("nginx.service"):
        return
    tested = run("nginx", "-t", check=False)
    if tested.returncode != 0:
        fail("nginx refuses the configuration that is on this server", tested.stderr)
    started = run("systemctl", "start", "nginx.service", check=False)
    if started.returncode != 0:
        say("note: nginx is installed but could not be started; another program may hold port 80:\n"
            + output("journalctl", "-u", "nginx.service", "-n", "10", "-o", "cat", "--no-pager"))
        return
    changed("nginx started")


HEAL_UNIT = """# Written by ServerPlane; changes made by hand are replaced.
[Unit]
Description=Undo what a power cut left of a change of Nginx's files
After=local-fs.target
Before=nginx.service

[Service]
Type=oneshot
ExecStart=/usr/local/lib/serverplane/guard heal
TimeoutStartSec=30

[Install]
WantedBy=multi-user.target
"""


def heal_at_boot():
    """Half a change may be a tree with which Nginx does not start at all."""
    if write("/etc/systemd/system/serverplane-heal.service", HEAL_UNIT):
        run("systemctl", "daemon-reload")
        run("systemctl", "enable", "--quiet", "serverplane-heal.service")


check_owner()
install_packages()
calm_needrestart()
folders()
write("/usr/local/lib/serverplane/guard", SPEC["guard"], 0o755)
write("/usr/local/lib/serverplane/switch", SPEC["switch"], 0o755)
sudoers()
sysctl()
sshd()
nginx()
write("/etc/serverplane/panel", SPEC["panel"] + "\n")
run("/usr/local/lib/serverplane/guard", "prepare")
heal_at_boot()
