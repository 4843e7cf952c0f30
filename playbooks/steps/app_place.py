"""User, folders and files of an app's slot.

SPEC: app, runtime {role, packages, commands}, slot, release, slot_tar (base64), rebuild, firewall_rules, container ({image, shared (names)}, or empty). Prints "release is here" when nothing is to be unpacked
or built, "runtime is missing" when the kind's runtime must be installed first.
"""

import base64
import grp
import io
import tarfile

UNIT_FILES = ["/etc/systemd/system/" + unit_of("a"), "/etc/systemd/system/" + unit_of("b")]


def make_user():
    try:
        user = account()
    except KeyError:
        run("useradd", "--system", "--user-group", "--no-create-home", "--home-dir", HOME, "--shell", "/usr/sbin/nologin", USER)
        changed("user " + USER)
        return
    if user.pw_dir != HOME:
        fail("a user %s that is not ours exists: its home is %s" % (USER, user.pw_dir))
    if any(USER in grp.getgrnam(g).gr_mem for g in ("sudo", "serverplane") if g in {x.gr_name for x in grp.getgrall()}):
        fail("the app's user %s is in a group with more rights than an app may have" % USER)


def make_folders():
    """Root's and sticky: the app writes into them, but cannot put a link to another app's, or root's, folder in their place."""
    user = account()
    for path in (HOME, HOME + "/releases", HOME + "/logs"):
        folder(path, 0o1770, 0, user.pw_gid)
    make_shared(user.pw_gid)
    folder(CONFIG, 0o750, 0, user.pw_gid)
    for slot in ("a", "b"):
        folder(CONFIG + "/" + slot, 0o750, 0, user.pw_gid)


def make_shared(gid):
    """Docker follows as root what lies in the shared folder of an app of containers: nobody else may put something there. Whoever a container
    runs as may write into its own paths, whose owner and mode are left as it made them."""
    if not SPEC["container"]:
        folder(HOME + "/shared", 0o1770, 0, gid)
        return
    folder(HOME + "/shared", 0o700)
    for name in SPEC["container"]["shared"]:
        path = HOME + "/shared/" + name
        if not re.fullmatch(r"[A-Za-z0-9_.+-]+", name) or name in (".", ".."):
            fail("shared path %r is not allowed" % name)
        if not os.path.lexists(path):
            folder(path, 0o777)
        elif os.path.islink(path) or not os.path.isdir(path):
            fail("%s is a symbolic link or no folder; ServerPlane gives it to no container" % path)
    if SPEC["container"]["shared"]:
        say("shared paths, kept across releases on this server only: " + ", ".join(SPEC["container"]["shared"]))


def check_member(path, member):
    allowed = path == MANIFEST or path in UNIT_FILES or re.fullmatch(re.escape(CONFIG) + r"/[ab]/[a-z][a-z0-9._-]*", path)
    if not allowed or not member.isfile():
        fail("%s is not a file ServerPlane places for %s" % (path, APP))
    if member.uname not in ("root", USER) or member.gname not in ("root", USER):
        fail("%s: owner %s:%s is not allowed" % (path, member.uname, member.gname))


def refuse_namesake():
    """An app of the same name that another panel, or a removed app's past, left here is not ours to overwrite."""
    there = read(MANIFEST)
    if there is None:
        return
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(SPEC["slot_tar"]))) as tar:
        ours = json.load(tar.extractfile(MANIFEST))
    if json.loads(there)["id"] != ours["id"]:
        fail("this server already carries another app named %s (%s)" % (APP, json.loads(there)["id"]))


def with_processes(text):
    """The list of the app's processes is kept by another step."""
    kept, fresh = json.loads(read(MANIFEST) or b"{}"), json.loads(text)
    fresh.update({key: kept[key] for key in ("processes", "generation") if key in kept})
    return json.dumps(fresh, indent=2) + "\n"


def place_files():
    touched = False
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(SPEC["slot_tar"]))) as tar:
        members = [("/" + m.name.lstrip("/"), m) for m in tar.getmembers() if not m.isdir()]
        for path, member in members:
            check_member(path, member)
        for path, member in sorted(members, key=lambda m: m[0] != MANIFEST):
            uid, gid = pwd.getpwnam(member.uname).pw_uid, grp.getgrnam(member.gname).gr_gid
            text = tar.extractfile(member).read()
            if path == MANIFEST:
                text = with_processes(text)
            touched = write(path, text, member.mode & 0o755, uid, gid) and path in UNIT_FILES or touched
    if touched:
        run("systemctl", "daemon-reload")


def bundle_authorities():
    """Node.js takes one file of authorities beside its own: the system's, and that of the app's databases."""
    for slot in ("a", "b"):
        ours = read(CONFIG + "/" + slot + "/database-ca.pem")
        if ours:
            system = read("/etc/ssl/certs/ca-certificates.crt") or b""
            write(CONFIG + "/" + slot + "/ca-bundle.pem", system + ours, 0o644 if SPEC["container"] else 0o640, 0, account().pw_gid)


def in_use(path):
    return any(active(unit_of(s)) and properties(unit_of(s), "WorkingDirectory").get("WorkingDirectory", "").startswith(path) for s in "ab")


def image_is_here():
    """Someone may have tidied up Docker's images; where slots are processes there is none to miss."""
    return not SPEC["container"] or bool(shutil.which("docker")) and docker("image", "inspect", SPEC["container"]["image"]).returncode == 0


def clear_release():
    """Makes room for the release unless it is complete."""
    path, marker = release_folder(SPEC["release"]), complete_marker(SPEC["release"])
    if os.path.exists(marker) and os.path.isdir(path) and image_is_here() and not SPEC["rebuild"]:
        say("release is here")
        return
    if not os.path.lexists(path):
        return
    if in_use(path) or works_in(path):
        fail("release %s is being served; it cannot be built anew in place" % SPEC["release"])
    with contextlib.suppress(FileNotFoundError):
        os.unlink(marker)
    shutil.rmtree(path)
    changed("removed the incomplete release " + SPEC["release"])


def runtime_is_missing(runtime):
    """Where a kind names commands, they count, wherever they came from: a person may have installed another version."""
    if runtime["commands"]:
        return not all(shutil.which(c) for c in runtime["commands"])
    return bool(runtime["packages"] and missing_packages(runtime["packages"]))


refuse_namesake()
make_user()
make_folders()
place_files()
bundle_authorities()
clear_release()
app_rules(SPEC["firewall_rules"])
if runtime_is_missing(SPEC["runtime"]):
    say("runtime is missing")
