"""Removes exactly what an app's manifest lists and says part by part what is gone and what is left.

SPEC: app, id (of the app; empty: any), discard (true: pack nothing). First everything of the app is stopped, then the files that
nothing could bring back are packed into BACKUPS, then the rest goes. What could not be packed is not removed.
"""

import grp
import stat
import tarfile

BACKUPS = "/var/backups/serverplane"
REBUILDABLE = {".npm", ".cache", "node_modules", "__pycache__"}


def say_receipt(what, done, detail=""):
    """The panel reads these lines: receipt.go."""
    say("receipt: " + json.dumps({"what": what, "done": done, "detail": detail}))


class Part:
    """One line of the receipt: what is tried in it and goes wrong is left, and the next part goes on."""

    broken = False

    def __init__(self, what):
        self.what, self.left, self.detail = what, [], ""

    def attempt(self, what, *args):
        done = run(*args, check=False)
        if done.returncode != 0:
            self.left.append("%s: %s" % (what, last_lines(done.stderr, 1)))

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        if isinstance(error, OSError):
            self.left.append(str(error))
        elif isinstance(error, SystemExit):
            self.left.append("a command failed")
        elif error:
            return False
        Part.broken = Part.broken or bool(self.left)
        say_receipt(self.what, not self.left, "; ".join(self.left) or self.detail)
        return True


def remove_link(path, target):
    if os.path.islink(path) and os.path.realpath(path) == target:
        os.unlink(path)


def stop_all(part, units):
    transient_unit = (read(RUNNING) or b"").decode("utf-8", "replace").strip()
    if transient_unit and active(transient_unit):
        part.attempt(transient_unit, "systemctl", "stop", transient_unit)
    for unit in units:
        if os.path.lexists("/etc/systemd/system/" + unit_file(unit)) or active(unit):
            part.attempt(unit, "systemctl", "disable", "--quiet", unit)
            part.attempt(unit, "systemctl", "stop", unit)


def remove_units(units):
    for unit in units:
        path = "/etc/systemd/system/" + unit_file(unit)
        for wants in ("multi-user.target.wants/", "timers.target.wants/"):
            remove_link("/etc/systemd/system/" + wants + unit, path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    run("systemctl", "daemon-reload")
    for unit in units:
        run("systemctl", "reset-failed", unit, check=False)


def end_processes(uid):
    """Whatever the app started beside its units would keep its user from being removed, and write while files are packed."""
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


def our_user(name):
    """The account, or None where it is gone. One that is not as ServerPlane made it is somebody else's."""
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        return None
    if name != USER or user.pw_dir != HOME:
        raise OSError("user %s is not as ServerPlane made it" % name)
    return user


def below(top, newer=0):
    """Paths of files and links below a folder that nothing could bring back: changed after newer (ctime, ns). No link is followed."""
    for folder, folders, names in os.walk(top):
        folders[:] = sorted(f for f in folders if f not in REBUILDABLE)
        links = [f for f in folders if os.path.islink(os.path.join(folder, f))]
        for name in sorted(names) + links:
            path = os.path.join(folder, name)
            now = os.lstat(path)
            if (stat.S_ISREG(now.st_mode) or stat.S_ISLNK(now.st_mode)) and now.st_ctime_ns > newer:
                yield path


def unique():
    """What is neither from a release as it was built, nor a log of a build, nor rebuildable."""
    for name in sorted(os.listdir(HOME)):
        top = os.path.join(HOME, name)
        if name in REBUILDABLE:
            continue
        if name == "releases" and not os.path.islink(top):
            for release in sorted(r for r in os.listdir(top) if RELEASE_RULE.fullmatch(r)):
                with contextlib.suppress(FileNotFoundError):  # without its marker it was never served
                    built = os.lstat(complete_marker(release)).st_ctime_ns
                    yield from below(os.path.join(top, release), built)
        elif os.path.islink(top) or not os.path.isdir(top):
            yield top
        else:
            logs_of_builds = name == "logs"
            for path in below(top):
                if not (logs_of_builds and re.fullmatch(r"build-[0-9a-f-]+\.log", os.path.basename(path))):
                    yield path


def pack(part, manifest):
    """Packs into a file of root's that appears whole or not at all; the manifest remembers it until everything is gone."""
    before = manifest.get("packed")  # by a removal that did not come to its end
    paths = list(unique()) if os.path.isdir(HOME) and not os.path.islink(HOME) else []
    if not paths:
        part.detail = before or "there are none"
        return
    if SPEC["discard"]:
        part.detail = "%d discarded, as wished" % len(paths)
        return
    folder(BACKUPS, 0o700)
    name = "%s/%s-%s.tar.gz" % (BACKUPS, APP, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()))
    handle, temporary = tempfile.mkstemp(dir=BACKUPS, prefix=".sp-")
    try:
        with os.fdopen(handle, "wb") as f:
            with tarfile.open(fileobj=f, mode="w:gz") as tar:
                for path in paths:
                    tar.add(path, arcname=os.path.relpath(path, HOME), recursive=False)
            f.flush()
            os.fsync(f.fileno())
        os.rename(temporary, name)
    except BaseException:
        os.unlink(temporary)
        raise
    part.detail = "; ".join(filter(None, [before, "%d packed to %s" % (len(paths), name)]))
    manifest["packed"] = part.detail
    write(MANIFEST, json.dumps(manifest, indent=2) + "\n", 0o600, quiet=True)


def remove_user(part, name):
    user = our_user(name)
    if user:
        for path in os.scandir("/dev/shm"):  # by owner: the next user may get the same number
            if path.stat(follow_symlinks=False).st_uid == user.pw_uid and not path.is_dir(follow_symlinks=False):
                os.unlink(path.path)
        part.attempt("user " + name, "userdel", name)
    if name in {g.gr_name for g in grp.getgrall()}:
        part.attempt("group " + name, "groupdel", name)


def remove_folders(part, paths):
    for path in paths:
        if path not in (HOME, CONFIG):
            part.left.append("%s is not one ServerPlane makes" % path)
        elif os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
    shutil.rmtree(CONTEXT, ignore_errors=True)
    for path in (RUNNING, STOPPED, RUNTIME + "/" + APP + ".network", STATE + "/live/" + APP + ".b", STATE + "/incoming-" + APP + ".tar", STATE + "/incoming-" + APP + ".tar.gz"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def remove_rules(comments):
    if shutil.which("ufw"):
        for comment in comments:
            ufw_delete_all(comment)


def remove_logs():
    """What the app's entry logged, where this is its primary. Names of apps hold no dot, so that no other app's log is named like this."""
    for name in os.listdir(LOGS) if os.path.isdir(LOGS) else ():
        if LOG_RULE.fullmatch(name):
            os.unlink(os.path.join(LOGS, name))


def remove_container_rules():
    for table, words in container_rules():
        run("iptables", "-w", "10", "-t", table, "-D", *words)


def remove_containers(part):
    """Containers, images and network are found by the app's own names."""
    remove_container_rules()
    if not shutil.which("docker"):
        part.detail = "Docker is not here any more"
        return
    part.attempt("Docker", "systemctl", "start", "docker.service")
    for name in ["sp-%s-%s" % (APP, which) for which in ("a", "b", "once")] + (containers_of_processes() or []):
        if docker("container", "inspect", name).returncode == 0:
            part.attempt("container " + name, *DOCKER, "rm", "--force", "--volumes", name)
    for image in docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "sp-" + APP).stdout.split():
        part.attempt("image " + image, *DOCKER, "image", "rm", "--force", image)
    remove_untagged(built_images(releases_here()))
    if docker("network", "inspect", "sp-" + APP).returncode == 0:
        part.attempt("network sp-" + APP, *DOCKER, "network", "rm", "sp-" + APP)


def site_is_gone(part, paths):
    for path in paths:
        if os.path.lexists("/etc/nginx/" + path):
            part.left.append("/etc/nginx/%s is still in force" % path)


def remove(manifest):
    units = sorted((u for u in manifest.get("processes") or [] if process_name(u)), key=lambda u: not u.endswith(".timer"))
    units += [u for u in manifest["units"] or [] if u in (unit_of("a"), unit_of("b"))]
    with Part("process and units") as part:
        stop_all(part, units)
        user = our_user(manifest["user"])
        if user:
            end_processes(user.pw_uid)
        if not part.left:
            remove_units(units)
    if manifest.get("container"):
        with Part("containers, images and network") as part:
            remove_containers(part)
    with Part("firewall rules"):
        remove_rules(manifest["ufw"] or [])
    with Part("unique files") as packed:
        pack(packed, manifest)
    if packed.left:
        say_receipt("user, files and folders", False, "kept, since their files could not be packed; --discard goes on without")
    else:
        with Part("user") as part:
            remove_user(part, manifest["user"])
        with Part("files and folders") as part:
            remove_folders(part, manifest["folders"] or [])
    with Part("Nginx site") as part:
        site_is_gone(part, manifest["nginx"] or [])
        if not part.left:
            remove_logs()


def main():
    text = read(MANIFEST)
    if text is None:
        say_receipt("everything recorded of " + APP, True, "nothing is recorded here")
        return
    manifest = json.loads(text)
    if manifest["app"] != APP or SPEC["id"] and manifest["id"] != SPEC["id"]:
        fail("%s on this server is app %s, not %s" % (APP, manifest["id"], SPEC["id"]))
    remove(manifest)
    if Part.broken:
        fail("something of %s could not be removed: see the receipt" % APP)
    os.unlink(MANIFEST)
    changed("removed everything recorded for " + APP)


with app_lock():  # the step of a Run that was lost goes on by itself; this one then finds less to do
    main()
    with contextlib.suppress(FileNotFoundError):
        os.unlink(RUNTIME + "/" + APP + ".lock")
