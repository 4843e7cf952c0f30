"""Starts a slot's process and waits until it listens where it was told to.

SPEC: app, slot, port, start_seconds, instead, container ({name, port}, or empty). A slot that does not come up is stopped again.
With instead the other slot is stopped first, and is started again where this one does not come up: never do both run, and never is the
one kept at boot that is not running. The units of an app that must not run twice say so to systemd as well.
"""

OTHER_PORT_SECONDS = 5.0
LOOPBACK = {"0100007F", "00000000", "0" * 32, "0000000000000000FFFF00000100007F"}
UNIT = unit_of(SPEC["slot"])
OTHER = unit_of("b" if SPEC["slot"] == "a" else "a")
CONTAINER = SPEC["container"]
PORT = int(CONTAINER["port"] if CONTAINER else SPEC["port"])
DOCKERS_RESOLVER = "0B00007F"
REPLACED = []  # what was stopped for this slot
INSIDE_ONLY = {"0100007F", "0" * 24 + "01000000", "0000000000000000FFFF00000100007F"}


def listening_inside(name):
    """{(port, whether others than the container reach it)} of what listens in a container: all in its network is its own, but for
    Docker's resolver. Docker itself listens outside whether anything does inside or not."""
    found = set()
    pid = docker("inspect", "--format", "{{.State.Pid}}", name).stdout.strip()
    for table in ("tcp", "tcp6") if pid.isdigit() and pid != "0" else ():
        with contextlib.suppress(OSError):
            for line in (read("/proc/%s/net/%s" % (pid, table)) or b"").decode().splitlines()[1:]:
                words = line.split()
                address, port = words[1].rsplit(":", 1)
                if words[3] == "0A" and address != DOCKERS_RESOLVER:
                    found.add((int(port, 16), address not in INSIDE_ONLY))
    return found


def listening(pids):
    """{(port, whether 127.0.0.1 reaches it)} of the sockets these processes listen on."""
    inodes = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            for fd in os.listdir("/proc/%d/fd" % pid):
                with contextlib.suppress(OSError):
                    target = os.readlink("/proc/%d/fd/%s" % (pid, fd))
                    if target.startswith("socket:["):
                        inodes.add(target[8:-1])
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in (read(table) or b"").decode().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and words[9] in inodes:
                address, port = words[1].rsplit(":", 1)
                found.add((int(port, 16), address in LOOPBACK))
    return found


def journal(since):
    run("journalctl", "--sync", check=False)
    return output("journalctl", "_SYSTEMD_UNIT=" + UNIT, "--since=@%d" % since, "-n", "40", "-o", "cat", "--no-pager")


def give_up(reason, since):
    lines = journal(since)
    run("systemctl", "stop", UNIT, check=False)
    if REPLACED:
        keep_at_boot(OTHER, UNIT)
        back = run("systemctl", "start", OTHER, check=False).returncode == 0
        lines += "\n%s %s again" % (OTHER, "runs" if back else "could not be started")
    fail(reason, lines)


def keep_at_boot(unit, instead_of):
    run("systemctl", "enable", "--quiet", unit, check=False)
    if os.path.exists("/etc/systemd/system/" + instead_of):
        run("systemctl", "disable", "--quiet", instead_of, check=False)


def make_room():
    """Stops the other slot, and says whether there was one to stop."""
    if not SPEC["instead"] or properties(OTHER, "ActiveState").get("ActiveState") in (None, "inactive", "failed"):
        return False
    keep_at_boot(UNIT, OTHER)  # a server that loses power now comes up with one of the two
    run("systemctl", "stop", OTHER)
    return True


def exit_reason(state):
    code, status = state.get("ExecMainCode"), state.get("ExecMainStatus", "?")
    if code in ("2", "3"):
        with contextlib.suppress(ValueError):
            status = signal.Signals(int(status)).name
        return "was killed by " + status
    return "exited with status " + status


def gone(state):
    return state["ActiveState"] in ("failed", "inactive") or state["SubState"] == "auto-restart" or int(state.get("NRestarts") or 0) > 0


def wait_for_port(since):
    deadline, other_since = time.monotonic() + SPEC["start_seconds"], None
    while True:
        state = properties(UNIT, "ActiveState", "SubState", "NRestarts", "ExecMainCode", "ExecMainStatus", "ControlGroup")
        if gone(state):
            give_up("the process " + exit_reason(state) + " before it listened on $PORT (%d)" % PORT, since)
        ports = listening_inside(CONTAINER["name"]) if CONTAINER else listening(processes_of(state.get("ControlGroup", "")))
        if (PORT, True) in ports:
            return
        now = time.monotonic()
        other_since = (other_since or now) if ports else None
        if now > deadline or (other_since and now - other_since > OTHER_PORT_SECONDS):
            give_up(complaint(ports), since)
        time.sleep(0.2 if CONTAINER else 0.05)


def complaint(ports):
    numbers = sorted(p for p, _ in ports)
    if CONTAINER and PORT in numbers:
        return "listens on port %d of its own 127.0.0.1 only, where nobody outside the container reaches it: it must listen on 0.0.0.0" % PORT
    if CONTAINER and numbers:
        return "listens on %s instead of $PORT (%d); --option port=%d tells so" % (", ".join(map(str, numbers)), PORT, numbers[0])
    if PORT in numbers:
        return "listens on port %d, but not on 127.0.0.1" % PORT
    if numbers:
        return "listens on %s instead of $PORT (%d)" % (", ".join(map(str, numbers)), PORT)
    return "nothing listens on $PORT (%d) after %d s" % (PORT, SPEC["start_seconds"])


def main():
    since = int(time.time())
    run("systemctl", "stop", UNIT, check=False)
    run("systemctl", "reset-failed", UNIT, check=False)
    stopped = time.monotonic()
    REPLACED.extend([OTHER] if make_room() else [])
    started = time.monotonic()
    if run("systemctl", "start", UNIT, check=False).returncode != 0:
        state = properties(UNIT, "ExecMainCode", "ExecMainStatus")
        give_up("the process could not be started: it " + exit_reason(state), since)
    wait_for_port(since)
    changed("%s listens on %d after %.1f s" % (UNIT, PORT, time.monotonic() - started))
    if REPLACED:
        say("%s was stopped for it: nothing listened for %.1f s" % (OTHER, time.monotonic() - stopped))


with app_lock():  # the step of a Run that was lost may still wait here; it would stop what this one starts
    main()
