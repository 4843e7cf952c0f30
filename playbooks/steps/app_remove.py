"""Removes exactly what an app's manifest lists and says what could not be removed. SPEC: app, id (of the app; empty: any)."""

remaining = []


def attempt(what, *args):
    done = run(*args, check=False)
    if done.returncode != 0:
        remaining.append("%s: %s" % (what, last_lines(done.stderr, 1)))


def remove_units(units):
    for unit in units:
        path = "/etc/systemd/system/" + unit
        if not os.path.lexists(path) and not active(unit):
            continue
        attempt(unit, "systemctl", "disable", "--quiet", unit)
        attempt(unit, "systemctl", "stop", unit)
        os.unlink(path)
        changed("removed " + unit)
    run("systemctl", "daemon-reload")


def stop_transient():
    unit = (read(RUNNING) or b"").decode("utf-8", "replace").strip()
    if unit and active(unit):
        attempt(unit, "systemctl", "stop", unit)
    for path in (RUNNING, STOPPED, RUNTIME + "/" + APP + ".lock", STATE + "/live/" + APP + ".b",
                 STATE + "/incoming-" + APP + ".tar", STATE + "/incoming-" + APP + ".tar.gz"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def end_processes(uid):
    """Whatever the app started beside its units would keep its user from being removed."""
    for _ in range(50):
        pids = [int(p) for p in os.listdir("/proc") if p.isdigit() and owner_of(p) == uid]
        if not pids:
            return
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def owner_of(pid):
    try:
        return os.stat("/proc/" + pid).st_uid
    except FileNotFoundError:
        return None


def remove_user(name):
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        return
    if name != USER or user.pw_dir != HOME:
        remaining.append("user %s: it is not as ServerPlane made it" % name)
        return
    end_processes(user.pw_uid)
    attempt("user " + name, "userdel", name)
    changed("removed user " + name)


def remove_folders(paths):
    for path in paths:
        if path not in (HOME, CONFIG):
            remaining.append("folder %s: not one ServerPlane makes" % path)
        elif os.path.isdir(path) and not os.path.islink(path):
            try:
                shutil.rmtree(path)
                changed("removed " + path)
            except OSError as e:
                remaining.append("folder %s: %s" % (path, e))


def main():
    text = read(MANIFEST)
    if text is None:
        say("nothing of %s is recorded here" % APP)
        return
    manifest = json.loads(text)
    if manifest["app"] != APP or SPEC["id"] and manifest["id"] != SPEC["id"]:
        fail("%s on this server is app %s, not %s" % (APP, manifest["id"], SPEC["id"]))
    stop_transient()
    remove_units([u for u in manifest["units"] or [] if u in (unit_of("a"), unit_of("b"))])
    if shutil.which("ufw"):
        for comment in manifest["ufw"] or []:
            ufw_delete_all(comment)
    remove_user(manifest["user"])
    remove_folders(manifest["folders"] or [])
    for path in manifest["nginx"] or []:
        if os.path.lexists("/etc/nginx/" + path):
            remaining.append("/etc/nginx/%s: still in force" % path)
    if remaining:
        fail("could not be removed: " + "; ".join(remaining), "\n".join(remaining))
    os.unlink(MANIFEST)
    changed("removed everything recorded for " + APP)


main()
