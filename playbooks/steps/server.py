"""What every step needs to work on a server. It is put in front of the step's own text; SPEC holds the step's values."""

import fcntl
import json
import os
import pwd
import re
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import time

STATE = "/var/lib/serverplane"
RUNTIME = "/run/serverplane"
TRY_AGAIN = 75
APT = {
    "DEBIAN_FRONTEND": "noninteractive",
    "NEEDRESTART_MODE": "l",
    "NEEDRESTART_SUSPEND": "1",
    "APT_LISTCHANGES_FRONTEND": "none",
}


def say(text):
    print(text, flush=True)


def changed(what):
    say("changed: " + what)


def fail(reason, detail="", code=1):
    """Ends the step. The reason is the last line of standard error: that is what a person reads first."""
    if detail:
        say(detail)
    sys.stdout.flush()
    sys.stderr.write(reason + "\n")
    sys.exit(code)


def run(*args, check=True, **kwargs):
    if "input" not in kwargs:
        kwargs.setdefault("stdin", subprocess.DEVNULL)
    env = dict(os.environ, LC_ALL="C.UTF-8", **kwargs.pop("env", {}))
    done = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, text=True, errors="replace", **kwargs)
    if check and done.returncode != 0:
        fail("%s failed with exit status %d" % (" ".join(args[:3]), done.returncode), last_lines(done.stdout + done.stderr))
    return done


def run_in_unit(options, shell, *args, **kwargs):
    """Runs shell text with arguments in a transient unit, and waits for its end.

    Both come by standard input. What systemd-run is told lies in a file, which is read again whenever anybody reloads systemd:
    where that happened before the start, systemd 252 had put a backslash before each $ and ; (seen: every sixth unit during
    reloads, and builds that failed because another app was started at that moment). Options must hold neither.
    """
    return run("systemd-run", "--quiet", "--wait", "--collect", "--pipe", *options, "/bin/sh", "-s", input=as_input(shell, *args), check=False, **kwargs)


def as_input(shell, *args):
    """The braces are read to their end before anything in them is carried out: a text that arrives in part is no text."""
    return "{ set -- %s\n%s\nexit\n} </dev/null\n" % (" ".join(map(shlex.quote, args)), shell)


def output(*args):
    return run(*args, check=False).stdout.strip()


def last_lines(text, count=40):
    return "\n".join(text.rstrip("\n").split("\n")[-count:])


def read(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except FileNotFoundError:
        return None


def write(path, data, mode=0o644, uid=0, gid=0, quiet=False):
    """Puts a whole file in place or none; says whether anything differed. Quiet: bookkeeping, not a change to tell of."""
    data = data.encode() if isinstance(data, str) else data
    try:
        now = os.lstat(path)
        same = not os.path.islink(path) and (now.st_mode & 0o7777, now.st_uid, now.st_gid) == (mode, uid, gid)
    except FileNotFoundError:
        same = False
    if same and read(path) == data:
        return False
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".sp-")
    try:
        with os.fdopen(handle, "wb") as f:
            f.write(data)
            os.fchown(f.fileno(), uid, gid)
            os.fchmod(f.fileno(), mode)
            f.flush()
            os.fsync(f.fileno())
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    if not quiet:
        changed(path)
    return True


def folder(path, mode=0o755, uid=0, gid=0):
    """Owner and mode are given through the open folder: between a look and a chown, a link could take its place."""
    if not os.path.lexists(path):
        os.mkdir(path, 0o700)
        changed(path)
    try:
        opened = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        fail("%s is a symbolic link or no folder; ServerPlane does not write through it" % path)
    try:
        os.fchown(opened, uid, gid)
        os.fchmod(opened, mode)
    finally:
        os.close(opened)


def active(unit):
    return run("systemctl", "is-active", "--quiet", unit, check=False).returncode == 0


def properties(unit, *names):
    text = output("systemctl", "show", unit, "-p", ",".join(names))
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def missing_packages(names):
    lines = output("dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *names).splitlines()
    installed = {line.split()[0] for line in lines if line.endswith(" installed")}
    return [n for n in names if n not in installed]


def package_locks_free():
    """Ends the step with TRY_AGAIN, naming who works with the package system; tasks/step.yml repeats it for 10 minutes."""
    locks = ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock", "/var/lib/apt/lists/lock")
    holders = sorted({holder for holder in map(lock_holder, locks) if holder})
    if holders:
        fail("waiting for %s to release the package system" % ", ".join(holders), code=TRY_AGAIN)


def refresh_packages():
    """Reads anew what this server's package sources have."""
    package_locks_free()
    run("apt-get", "update", "-q", "-o", "DPkg::Lock::Timeout=600", env=APT)


def install(names, refreshed=False):
    """Installs what is missing, asking nothing and restarting nothing."""
    missing = missing_packages(names)
    if not missing:
        return []
    if not refreshed:
        refresh_packages()
    options = ["-q", "-o", "DPkg::Lock::Timeout=600", "-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"]
    run("apt-get", "install", "-y", "--no-install-recommends", *options, *missing, env=APT)
    changed("packages " + " ".join(missing))
    return missing


def lock_holder(path):
    """Name and pid of the process that holds a lock of apt or dpkg, or None."""
    try:
        f = open(path, "rb+")
    except FileNotFoundError:
        return None
    with f:
        asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = struct.unpack("hhqqi4x", fcntl.fcntl(f, fcntl.F_GETLK, asked))
    if kind == fcntl.F_UNLCK:
        return None
    name = (read("/proc/%d/comm" % pid) or b"a process").decode("utf-8", "replace").strip()
    return "%s (pid %d)" % (name, pid)


def ufw(*args):
    """Changes the firewall, one Run after the other: ufw (0.36) reads its rules before it takes its own lock, so that of two changes
    at once the later brings back what was before the earlier, and the next boot with it."""
    os.makedirs(RUNTIME, mode=0o755, exist_ok=True)
    with open(RUNTIME + "/ufw.lock", "w") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        run("ufw", *args)


def ufw_active():
    return output("ufw", "status").startswith("Status: active")


def ufw_added():
    """The rules as ufw would be told them, without the leading "ufw"."""
    lines = output("ufw", "show", "added").splitlines()
    return [line[4:] for line in lines if line.startswith("ufw ")]


def without_comment(rule):
    return re.sub(r" comment '[^']*'$", "", rule)


def ufw_words(rule):
    return without_comment(rule).split()


def ufw_allow(rule, comment):
    """Adds a rule unless one with the same effect is there: adding it again would take over its comment."""
    if rule in [without_comment(r) for r in ufw_added()]:
        return
    ufw(*rule.split(), "comment", comment)
    changed("firewall: %s (%s)" % (rule, comment))


def ufw_delete_all(comment, but=()):
    """Deletes the rules that bear exactly this comment, except the given ones."""
    for rule in ufw_added():
        if rule.endswith(" comment '%s'" % comment) and without_comment(rule) not in but:
            ufw("--force", "delete", *ufw_words(rule))
            changed("firewall: deleted " + without_comment(rule))


def app_rules(rules):
    """Brings the rules of each comment to exactly the wanted ones. Where ufw is off there is nothing to open."""
    if not rules:
        return
    if not shutil.which("ufw") or not ufw_active():
        say("the firewall (ufw) is not active here: no rule added")
        return
    wanted = {}
    for r in rules:
        wanted.setdefault(r["comment"], []).append(rule_text(r))
    for comment, texts in wanted.items():
        for text in texts:
            ufw_allow(text, comment)
        ufw_delete_all(comment, texts)


def rule_text(r):
    """The text in the form in which ufw shows it."""
    ports = ",".join(str(p) for p in r["ports"])
    if not r.get("from"):
        return "allow %s/tcp" % ports
    return "allow from %s to %s port %s proto tcp" % (r["from"], r["to"], ports)
