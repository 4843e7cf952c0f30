# Says what systemd knows of the units named, as JSON; changes nothing.
import json
import re
import signal
import subprocess
import sys

FIELDS = ("Id", "LoadState", "ActiveState", "SubState", "Result", "NRestarts", "MainPID", "ExecMainCode", "ExecMainStatus", "StateChangeTimestamp")
LINES = 10
CHARACTERS = 2000


def show(units):
    out = subprocess.run(["systemctl", "show", "--timestamp=unix", "-p", ",".join(FIELDS), *units], stdout=subprocess.PIPE, check=True, text=True).stdout
    blocks = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in out.strip().split("\n\n")]
    return {block["Id"]: block for block in blocks if "Id" in block}


def exit_of(state):
    code, status = state.get("ExecMainCode"), state.get("ExecMainStatus", "0")
    if state.get("Result") == "exit-code" and status.isdigit() and int(status) >= 200:
        return "could not be started (status %s)" % status
    if code in ("2", "3"):
        try:
            return "was killed by " + signal.Signals(int(status)).name
        except ValueError:
            return "was killed by signal " + status
    return "exited with status " + status if code == "1" else ""


def release_of(pid):
    try:
        with open("/proc/%s/environ" % pid, "rb") as f:
            found = re.search(rb"(?:^|\0)SERVERPLANE_RELEASE=([0-9a-f-]{1,60})\0", f.read())
        return found.group(1).decode() if found else ""
    except OSError:
        return ""


def lines_of(unit):
    subprocess.run(["journalctl", "--sync"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    out = subprocess.run(["journalctl", "_SYSTEMD_UNIT=" + unit, "-n", str(LINES), "-o", "cat", "--no-pager"],
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace")
    return out.stdout.strip()[-CHARACTERS:]


def look(unit, state):
    since = state.get("StateChangeTimestamp", "")
    restarts = int(state.get("NRestarts") or 0)
    troubled = restarts > 0 or state.get("ActiveState") == "failed" or state.get("SubState") == "auto-restart"
    return {
        "unit": unit, "load": state.get("LoadState", ""), "active": state.get("ActiveState", ""), "sub": state.get("SubState", ""),
        "result": state.get("Result", ""), "restarts": restarts, "exit": exit_of(state) if troubled else "",
        "since": int(since[1:]) if since.startswith("@") else 0,
        "release": release_of(state.get("MainPID", "0")), "lines": lines_of(unit) if troubled else "",
    }


units = sys.argv[1:]
states = show(units)
json.dump([look(unit, states.get(unit, {})) for unit in units], sys.stdout)
