"""What the steps of one app share; put between server.py and the step. SPEC: app, and what each step names."""

import contextlib
import signal

APP_RULE = re.compile(r"[a-z]([a-z0-9-]{0,22}[a-z0-9])?")
RELEASE_RULE = re.compile(r"[0-9]{14}-[0-9a-f]{7,40}")

APP = SPEC["app"]
if not APP_RULE.fullmatch(APP):
    fail("app name %r is not allowed" % APP)
USER = "sp_" + APP
HOME = "/home/" + USER
CONFIG = "/etc/serverplane/apps/" + APP
MANIFEST = STATE + "/apps/" + APP + ".json"
RUNNING = RUNTIME + "/" + APP + ".run"
STOPPED = RUNTIME + "/" + APP + ".stopped"
LOGS = "/var/log/nginx"
LOG_RULE = re.compile("sp-" + re.escape(APP) + r"\.access\.log([.-][0-9]+)*(\.[a-z0-9]+)?")  # and as logrotate renames it
CONTEXT = STATE + "/image-" + APP  # what an image is being built of


def unit_of(slot):
    if slot not in ("a", "b"):
        fail("slot %r is not allowed" % slot)
    return "sp-%s-%s.service" % (APP, slot)


PROCESS_RULE = re.compile("sp-" + re.escape(APP) + r"_(p_(?P<p>NAME)@[0-9]{1,2}\.service|[ct]_(?P<c>NAME)\.service|c_(?P<t>NAME)\.timer)"
                          .replace("NAME", "[a-z]([a-z0-9-]{0,22}[a-z0-9])?"))


def process_name(unit):
    """The name of the app's process or cron entry that the unit belongs to; "" for any other unit."""
    found = PROCESS_RULE.fullmatch(unit)
    return found and (found["p"] or found["c"] or found["t"]) or ""


def unit_file(unit):
    return re.sub(r"@[0-9]+\.", "@.", unit)


def processes_of(group):
    """The processes of a control group, on cgroup v2 and v1, with those in groups below."""
    pids = set()
    for base in ("/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"):
        for path, _, files in os.walk(base + group) if group else ():
            if "cgroup.procs" in files:
                pids.update(int(p) for p in (read(path + "/cgroup.procs") or b"").split())
    return pids


def environment_of(pid):
    try:
        raw = (read("/proc/%d/environ" % int(pid)) or b"").decode("utf-8", "replace")
    except OSError:
        raw = ""
    return dict(entry.split("=", 1) for entry in raw.split("\0") if "=" in entry)


def works_in(path):
    """Whether any process of the app's works in the folder: a worker of the former release may still be at something. What holds one
    that is a container is root's."""
    uids = {account().pw_uid, 0} if contained() else {account().pw_uid}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if os.stat("/proc/" + pid).st_uid in uids and (os.readlink("/proc/%s/cwd" % pid) + "/").startswith(path + "/"):
                return True
    return False


def release_folder(release):
    if not RELEASE_RULE.fullmatch(release):
        fail("release id %r is not allowed" % release)
    return HOME + "/releases/" + release


def complete_marker(release):
    """Outside the app user's reach inside a root-owned folder, so that a build cannot forge or lose it."""
    return HOME + "/releases/." + release + ".complete"


def account():
    return pwd.getpwnam(USER)


def as_user():
    user = account()
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "umask": 0o027}


def user_tail(path, count=40):
    """The last lines of a file of the app's, read with its rights: it may be a link to anywhere."""
    return run("tail", "-n", str(count), path, check=False, cwd="/", **as_user()).stdout.rstrip("\n")


@contextlib.contextmanager
def app_lock():
    os.makedirs(RUNTIME, mode=0o755, exist_ok=True)
    with open(RUNTIME + "/" + APP + ".lock", "w") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def refuse_other_run(unit):
    """One long step per app: a step left over from a Run that was lost must be stopped first, by its name."""
    other = (read(RUNNING) or b"").decode("utf-8", "replace").strip()
    for name in {other, unit} - {""}:
        if properties(name, "ActiveState").get("ActiveState") in ("active", "activating", "deactivating"):
            fail("unit %s of %s is still at work here; stop it first" % (name, "another run" if name != unit else "this run"))
    write(RUNNING, unit + "\n", 0o600, quiet=True)


def transient(unit, folder, env_file, script, log, limits, *assignments):
    """Runs a script as the app's user in a unit of its own, its output written to a file of the app's,
    where it can be followed while it lasts. Assignments (NAME=value) win over the variables of the file.

    The user itself opens the log: root writing to a path the app controls could be led anywhere. The unit itself looks
    whether it was stopped before it began: whoever stops it notes that first, so that it is either noted or running.
    """
    options = ["User=" + USER, "Group=" + USER, "WorkingDirectory=" + folder, "EnvironmentFile=" + env_file,
               "OOMScoreAdjust=900", "NoNewPrivileges=yes", "PrivateTmp=yes", "UMask=0027"]
    # systemd takes an end by SIGTERM for a success, so that a stopped build would pass for a finished one: the script's own
    # exit status is told beside its output.
    shell = 'exec 3>&1 >"$1" 2>&1 </dev/null; script=$2; shift 2; /usr/bin/env "$@" /bin/sh "$script" 3>&-; status=$?; echo "$status" >&3; exit "$status"'
    return in_unit(unit, options, limits, shell, log, script, *assignments)


def in_unit(unit, options, limits, shell, *args):
    """Runs shell text, which prints the exit status that counts, in a unit of its own."""
    with app_lock():
        refuse_other_run(unit)
    options = options + ["CPUWeight=20", "IOWeight=20", "KillMode=control-group", "TimeoutStopSec=5", "RuntimeMaxSec=%d" % limits["seconds"]]
    if limits.get("memory"):
        options.append("MemoryMax=%dM" % limits["memory"])
    flags = ["--unit=" + unit]
    for option in options:
        flags += ["-p", option]
    unless_stopped = 'read -r sp_stopped 2>/dev/null <"$1"; [ "$sp_stopped" != "$2" ] || exit 143; shift 2; '
    started = time.monotonic()
    try:
        done = run_in_unit(flags, unless_stopped + shell, STOPPED, unit, *args)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(RUNNING)
    told = (done.stdout.split() or [""])[0]  # what ends the unit may say something, too
    if done.returncode == 0 and told != "0":
        done.returncode = int(told) if told.isdigit() else 128 + signal.SIGTERM
    return done, time.monotonic() - started


FAILED = "! failed: "  # what files.Script says last of a line of the person's own

# What package managers say of why they failed, among much else: the first line that matches tells it.
TELLING = [re.compile(rule) for rule in (
    r"npm (?:ERR!|error) (?!code |errno |syscall |path |[A-Za-z ]*complete log)(?:[0-9]{3} )?(\S.*)",
    r"ERROR: (.*)",
    r"\s+- (Root composer\.json requires .*)",
    r"\s*(curl error [0-9]+ while downloading .*)",
)]


def reason_in(text):
    """": line: why" of what a script said before it failed, as far as that is known."""
    said, found, failed = text.rstrip("\n").rpartition(FAILED)
    if not found or "\n" in failed:
        return ""
    lines = said.rpartition("+ " + failed + "\n")[2].split("\n")
    why = next((m[1].strip() for rule in TELLING for m in map(rule.match, lines) if m), "")
    return ": " + failed + (": " + why if why else "")


def explain(what, done, seconds, log, limits):
    """Ends the step for a long step that failed."""
    detail = user_tail(log)
    if done.stderr.strip():
        detail += "\n" + done.stderr.strip()
    if seconds >= limits["seconds"]:
        fail("%s was ended after its limit of %d s" % (what, limits["seconds"]), detail)
    if done.returncode >= 128 or done.returncode < 0:
        fail("%s was ended by a signal (stopped, or out of its memory limit); exit status %d" % (what, done.returncode), detail)
    fail("%s failed with exit status %d%s" % (what, done.returncode, reason_in(user_tail(log, 400))), detail)


# Where an app's slots are containers, the marker of a release also lists what Docker's builder made for it: stages that an image is not
# made of would stay for ever. Nothing of anybody else's is listed there.

DOCKER = ["docker", "--host", "unix:///run/docker.sock"]
IMAGE_ID = re.compile(r"[0-9a-f]{12,64}")


# What speaks to Docker is root; the log is the app's, and root opens nothing there. The status counts that the command ended with.
LOGGED = """log=$1; user=$2; own=$3; shift 3
exec 4>&1
umask 027
{ "$@" 2>&1 </dev/null 4>&-; echo "$?" >&4; } | tee "$own" 4>&- | setpriv --reuid "$user" --regid "$user" --clear-groups tee -a "$log" >/dev/null 4>&-"""


def logged(unit, options, limits, log, own, *command):
    """Runs a command as root in a unit of its own, its output added to a file of the app's and to one of root's."""
    return in_unit(unit, options, limits, LOGGED, log, USER, own, *command)


def contained():
    """Whether the app's slots are containers."""
    return bool(json.loads(read(MANIFEST) or b"{}").get("container"))


def image_of(release):
    return "sp-%s:%s" % (APP, release)


def docker(*args):
    return run(*DOCKER, *args, check=False)


def containers_of_processes():
    """The names of containers that the app's processes and cron entries run in; None where Docker does not answer."""
    listed = docker("ps", "--all", "--format", "{{.Names}}")
    rule = re.compile("sp-" + re.escape(APP) + r"_[pc]_[a-z][a-z0-9-]*\.[0-9]{1,2}")
    return [name for name in listed.stdout.split() if rule.fullmatch(name)] if listed.returncode == 0 else None


def container_rules():
    """(table, words of it) of each rule of iptables that bears exactly the app's comment, as ufw's do."""
    for table in ("filter", "nat") if shutil.which("iptables") else ():
        for line in output("iptables", "-w", "10", "-t", table, "-S").splitlines():
            words = shlex.split(line)
            if words[0] == "-A" and "--comment" in words and words[words.index("--comment") + 1] == "serverplane-" + APP:
                yield table, words[1:]


def built_images(releases):
    """What the builder made for these releases, the oldest first."""
    lines = [line for r in releases for line in (read(complete_marker(r)) or b"").decode("utf-8", "replace").split("\n")[1:]]
    return [line for line in lines if IMAGE_ID.fullmatch(line)]


def releases_here():
    names = os.listdir(HOME + "/releases") if os.path.isdir(HOME + "/releases") else []
    return sorted(name for name in names if RELEASE_RULE.fullmatch(name))


def untagged(image):
    seen = docker("image", "inspect", "--format", "{{len .RepoTags}} {{len .RepoDigests}}", image)
    return seen.returncode == 0 and seen.stdout.split() == ["0", "0"]


def remove_untagged(images, but=()):
    """An image that another one is made of stays, and one with a name is somebody's."""
    for image in reversed(images):
        if image not in but and untagged(image):
            docker("image", "rm", image)


def remove_image(release):
    """Takes away a release's image, and what was made for it alone; says whether there was one."""
    removed = docker("image", "rm", "--force", image_of(release)).returncode == 0
    remove_untagged(built_images([release]), built_images(r for r in releases_here() if r != release))
    return removed
