"""Brings an app's processes and cron entries to exactly the wished ones.

SPEC: app, generation, release, units, run, timers, zone, process_tar (base64). What is no longer wished is stopped and proven to have
stopped before anything is started. A process that does not stay up is no failure of this step: the panel looks and tells.
"""

import base64
import grp
import io
import tarfile

SCRIPTS = CONFIG + "/process"
UNITS = "/etc/systemd/system/"
ZONES = "/usr/share/zoneinfo/"


def manifest():
    text = read(MANIFEST)
    if text is None:
        fail("%s is not deployed here" % APP)
    return json.loads(text)


def remember(units):
    """Before anything is created and after everything is gone, so that the list never lacks what may be there."""
    now = manifest()
    now["processes"], now["generation"] = sorted(units), SPEC["generation"]
    write(MANIFEST, json.dumps(now, indent=2) + "\n", 0o600, quiet=True)


def scripts_of(units):
    return {SCRIPTS + "/" + process_name(u) + "." + kind for u in units for kind in ("start", "tick")}


def in_order(units):
    """Timers first: what they would start must not come back behind our back."""
    return sorted(units, key=lambda u: (not u.endswith(".timer"), "_t_" not in u, u))


def stop(units):
    for unit in in_order(units):
        if "@" in unit or unit.endswith(".timer"):
            run("systemctl", "disable", "--quiet", unit, check=False)
    timers = [u for u in units if u.endswith(".timer")]
    for group in (timers, [u for u in units if "_t_" in u], [u for u in units if u not in timers and "_t_" not in u]):
        if group:
            run("systemctl", "stop", *group, check=False)
    for unit in units:
        state = properties(unit, "ActiveState", "ControlGroup")
        if state.get("ActiveState") not in ("inactive", "failed") or processes_of(state.get("ControlGroup", "")):
            fail("%s could not be stopped: it is %s" % (unit, state.get("ActiveState")))
        changed("stopped " + unit)
    if contained():
        empty_containers(units)


def container_of(unit):
    """The name of the container that a unit runs; "" for what only wakes one."""
    found = re.fullmatch(r"(sp-[a-z0-9-]+_p_[a-z0-9-]+)@([0-9]+)\.service|(sp-[a-z0-9-]+_c_[a-z0-9-]+)\.service", unit)
    return "" if not found else found[1] + "." + found[2] if found[1] else found[3] + ".1"


def empty_containers(units):
    """A unit that has ended proves nothing of its container: that is Docker's."""
    names = {container_of(u) for u in units} - {""}
    if not names or not shutil.which("docker"):
        return
    for name in names.intersection(containers_of_processes() or names):
        docker("rm", "--force", "--volumes", name)
    left = containers_of_processes()
    if left is None or names.intersection(left):
        fail("%s could not be proven to have stopped: %s" % (", ".join(sorted(names.intersection(left or names))), "Docker does not answer" if left is None else "the container is still there"))


def delete(paths):
    for path in sorted(paths):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
            changed("removed " + path)


def leave(gone, wished):
    if not gone:
        return
    stop(gone)
    delete({UNITS + unit_file(u) for u in gone} - {UNITS + unit_file(u) for u in wished})
    delete(scripts_of(gone) - scripts_of(wished))
    run("systemctl", "daemon-reload")
    for unit in gone:
        run("systemctl", "reset-failed", unit, check=False)


def check_member(path, member):
    unit = path[len(UNITS):] if path.startswith(UNITS) else ""
    ours = unit in {unit_file(u) for u in SPEC["units"]} or path in scripts_of(SPEC["units"])
    if not ours or not member.isfile() or member.uname != "root" or member.gname not in ("root", USER):
        fail("%s is not a file ServerPlane places for a process of %s" % (path, APP))


def place():
    """Names of the processes whose files differ from before."""
    touched, reload = set(), False
    folder(CONFIG, 0o750, 0, account().pw_gid)
    folder(SCRIPTS, 0o750, 0, account().pw_gid)
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(SPEC["process_tar"]))) as tar:
        members = [("/" + m.name.lstrip("/"), m) for m in tar.getmembers()]
        for path, member in members:
            check_member(path, member)
        for path, member in members:
            if write(path, tar.extractfile(member).read(), member.mode & 0o755, 0, grp.getgrnam(member.gname).gr_gid):
                name = os.path.basename(path)
                touched.add(name)
                reload = reload or path.startswith(UNITS)
    if reload:
        run("systemctl", "daemon-reload")
    return touched


def need_zone():
    zone = SPEC["zone"]
    if zone in ("", "UTC"):
        return
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}", zone):
        fail("time zone %r is not allowed" % zone)
    if not os.path.isfile(ZONES + zone):
        install(["tzdata"])
    if not os.path.isfile(ZONES + zone):
        fail("this server does not know the time zone %s" % zone, "choose another name of it: app set %s --option timezone=..." % APP)


def stale(unit, touched):
    """Whether the instance is not what is wished: other files, not running, or started from another release."""
    if {unit_file(unit), process_name(unit) + ".start"} & touched:
        return True
    state = properties(unit, "ActiveState", "MainPID")
    said = environment_of(state.get("MainPID", "0")).get("SERVERPLANE_RELEASE", SPEC["release"])
    return state.get("ActiveState") != "active" or said != SPEC["release"]


def start(touched):
    units = [u for u in SPEC["run"] if stale(u, touched)]
    timers = [u for u in SPEC["timers"] if u in touched or not active(u)]
    for unit in SPEC["run"] + SPEC["timers"]:
        run("systemctl", "enable", "--quiet", unit)
    if units:
        run("systemctl", "reset-failed", *units, check=False)
        run("systemctl", "restart", *units, check=False)  # at once; each may first finish what it is at
    if timers:
        run("systemctl", "restart", *timers)
    for unit in units + timers:
        changed("started " + unit)
    settle(units)


def settle(units):
    """A process that ends at once is to be seen by the look that follows."""
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline and any(properties(u, "NRestarts").get("NRestarts") == "0" for u in units):
        time.sleep(0.1)


def main():
    kept = manifest()
    if kept.get("generation", 0) > SPEC["generation"]:
        fail("a newer wish about the processes of %s has been here" % APP)
    wished, was = SPEC["units"], kept.get("processes") or []
    for unit in wished + was:
        if not process_name(unit):
            fail("unit name %r is not allowed" % unit)
    need_zone()
    remember(set(was) | set(wished))
    leave([u for u in was if u not in wished], wished)
    start(place())
    remember(wished)


with app_lock():
    main()
