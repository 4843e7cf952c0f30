"""Starts a slot's process and waits until it listens where it was told to.

SPEC: app, slot, port, start_seconds. A slot that does not come up is stopped again.
"""

OTHER_PORT_SECONDS = 5.0
LOOPBACK = {"0100007F", "00000000", "0" * 32, "0000000000000000FFFF00000100007F"}
UNIT = unit_of(SPEC["slot"])
PORT = int(SPEC["port"])


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
    fail(reason, lines)


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
        ports = listening(processes_of(state.get("ControlGroup", "")))
        if (PORT, True) in ports:
            return
        now = time.monotonic()
        other_since = (other_since or now) if ports else None
        if now > deadline or (other_since and now - other_since > OTHER_PORT_SECONDS):
            give_up(complaint(ports), since)
        time.sleep(0.05)


def complaint(ports):
    numbers = sorted(p for p, _ in ports)
    if PORT in numbers:
        return "listens on port %d, but not on 127.0.0.1" % PORT
    if numbers:
        return "listens on %s instead of $PORT (%d)" % (", ".join(map(str, numbers)), PORT)
    return "nothing listens on $PORT (%d) after %d s" % (PORT, SPEC["start_seconds"])


def main():
    since = int(time.time())
    run("systemctl", "stop", UNIT, check=False)
    run("systemctl", "reset-failed", UNIT, check=False)
    started = time.monotonic()
    if run("systemctl", "start", UNIT, check=False).returncode != 0:
        state = properties(UNIT, "ExecMainCode", "ExecMainStatus")
        give_up("the process could not be started: it " + exit_reason(state), since)
    wait_for_port(since)
    changed("%s listens on %d after %.1f s" % (UNIT, PORT, time.monotonic() - started))


with app_lock():  # the step of a Run that was lost may still wait here; it would stop what this one starts
    main()
