"""Unpacks a release and builds it in a unit of its own.

SPEC: app, slot, release, run, archive (tar on the server), root, build_env, build_script, shared (paths inside root),
container ({image, dockerfile, from}, or empty), limits {seconds, memory}.
"""

def unpack(target):
    user = account()
    os.mkdir(target, 0o750)
    os.chown(target, user.pw_uid, user.pw_gid)
    zipped = ["-z"] if SPEC["archive"].endswith("gz") else []
    with open(SPEC["archive"], "rb") as archive:
        run("tar", "-x", *zipped, "-C", target, "-f", "-", stdin=archive, cwd="/", **as_user())
    os.unlink(SPEC["archive"])


def refuse_pointers(target):
    """What Git keeps elsewhere is not in the tree that was shipped: a build would fail later, or serve a text of three lines as an image."""
    listed = os.path.join(target, ".gitmodules")
    if os.path.isfile(listed) and not os.path.islink(listed):
        for path in re.findall(r"^\s*path\s*=\s*(\S+)\s*$", (read(listed) or b"").decode("utf-8", "replace"), re.M):
            there = os.path.join(target, path)
            if not os.path.isdir(there) or not os.listdir(there):
                fail("the repository has the submodule %s, which is not fetched: put its files into the repository, or fetch it as a package" % path)
    for folder, _, names in os.walk(target):
        for name in names:
            if is_pointer(os.path.join(folder, name)):
                fail("%s is kept in Git LFS, and only a pointer to it was shipped: keep it in the repository itself, or fetch it while building"
                     % os.path.relpath(os.path.join(folder, name), target))


def is_pointer(path):
    if not 100 <= os.lstat(path).st_size <= 300 or os.path.islink(path):
        return False
    with open(path, "rb") as f:
        return f.read(42) == b"version https://git-lfs.github.com/spec/v1"


# Runs as the app's user, so that a link it has put somewhere leads nowhere it could not go by itself.
SHARE = """
import os, re, shutil, sys

FILE = re.compile(r"[.]env([.].+)?|.+[.][A-Za-z][A-Za-z0-9_-]*")  # what is never made a folder unasked

def real(path):
    return os.path.isdir(path) and not os.path.islink(path)

def add(source, target):
    for name in os.listdir(source):
        ours, kept = os.path.join(source, name), os.path.join(target, name)
        if not os.path.lexists(kept):
            shutil.move(ours, kept)
        elif real(ours) and real(kept):
            add(ours, kept)

def give(path, inside, kept):
    if not os.path.lexists(kept):
        shutil.move(inside, kept)
    elif real(inside) != os.path.isdir(kept):
        sys.exit("%s is a %s in this release, but a %s in %s: move that away on the server, or name another path"
                 % (path, *(("folder", "file") if real(inside) else ("file", "folder")), kept))
    elif real(inside):
        add(inside, kept)
        shutil.rmtree(inside)
    else:
        os.unlink(inside)

def link(folder, path, shared):
    inside, kept = os.path.join(folder, path), os.path.join(shared, path)
    os.makedirs(os.path.dirname(kept), 0o750, exist_ok=True)
    os.makedirs(os.path.dirname(inside), 0o750, exist_ok=True)
    if os.path.realpath(os.path.dirname(inside)) != os.path.dirname(inside):
        sys.exit("%s lies behind a link in this release: name the path that the link leads to" % path)
    if os.path.islink(inside):
        os.unlink(inside)
    brought = os.path.lexists(inside)
    if real(kept) and not os.listdir(kept) and not real(inside) and (brought or FILE.fullmatch(os.path.basename(path))):
        os.rmdir(kept)  # made before it was known to be a file
    if brought:
        give(path, inside, kept)
    elif not os.path.lexists(kept):
        open(kept, "x").close() if FILE.fullmatch(os.path.basename(path)) else os.mkdir(kept, 0o750)
    os.symlink(kept, inside)

for path in sys.argv[3:]:
    link(os.path.realpath(sys.argv[1]), path, sys.argv[2])
"""


def share(folder):
    """Shared paths outlive releases: links to what is kept beside them. What a release brings and is not kept yet is added to it."""
    if SPEC["shared"]:
        done = run("/usr/bin/python3", "-c", SHARE, folder, HOME + "/shared", *SPEC["shared"], check=False, cwd="/", **as_user())
        if done.returncode != 0:
            fail("the shared paths could not be linked into the release: " + last_lines(done.stderr, 1), done.stderr)
        say("shared paths, kept across releases on this server only: " + ", ".join(SPEC["shared"]))


def copy_context(source):
    """Docker's client reads the folder as root, who may read what the app may not: so from a copy nobody else can put a link into. Its
    modes are those of Git, not of a home: an image's own user must be able to read it."""
    shutil.rmtree(CONTEXT, ignore_errors=True)
    os.mkdir(CONTEXT, 0o700)
    os.mkdir(CONTEXT + "/files", 0o755)
    packed = subprocess.Popen(["tar", "-c", "-C", source, "."], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, cwd="/", **as_user())
    run("tar", "-x", "--no-same-owner", "-C", CONTEXT + "/files", stdin=packed.stdout)
    packed.stdout.close()
    if packed.wait() != 0:
        fail("the release could not be read as %s" % USER)
    run("chmod", "-R", "u=rwX,go=rX", CONTEXT + "/files")


def inside_context(name):
    path = os.path.realpath(CONTEXT + "/files/" + name)
    return path if path.startswith(CONTEXT + "/files/") and os.path.isfile(path) else None


def made(text):
    """The images that a build says it made or found made; what a stage begins with is somebody else's, or listed already."""
    ids, base = [], False
    for line in text.splitlines():
        step, image = re.match(r"Step \d+/\d+ : (\S+)", line), re.fullmatch(r" ---> ([0-9a-f]{12,64})\s*", line)
        if step:
            base = step[1].upper() == "FROM"
        elif image and not base and image[1] not in ids:
            ids.append(image[1])
    return ids


def build_image(source, log):
    """Makes the release's image and returns all that Docker's builder made for it."""
    copy_context(source)
    dockerfile = inside_context(SPEC["container"]["dockerfile"])
    if not dockerfile:
        fail("there is no %s in the repository to make an image by; --option dockerfile=FILE names another" % SPEC["container"]["dockerfile"])
    if os.path.lexists(CONTEXT + "/files/.dockerignore") and not inside_context(".dockerignore"):
        fail(".dockerignore leads out of the repository")
    run("systemctl", "start", "docker.service")
    command = [*DOCKER, "build", "--force-rm", "--tag", SPEC["container"]["image"], "--file", dockerfile, CONTEXT + "/files"]
    done, seconds = logged("sp-%s-run-%s" % (APP, SPEC["run"]), ["Environment=HOME=/root"], SPEC["limits"], log, CONTEXT + "/log", *command)
    images = made((read(CONTEXT + "/log") or b"").decode("utf-8", "replace"))
    if done.returncode != 0:
        remove_untagged(images, built_images(releases_here()))
    return done, seconds, images


def take_image(release):
    """The image was built on the primary, whatever is built before it as well."""
    if docker("image", "inspect", SPEC["container"]["image"]).returncode != 0:
        fail("the image of release %s was not shipped here" % release)
    write(complete_marker(release), release + "\n", quiet=True)
    changed("the image of the primary is here")


def main():
    release = SPEC["release"]
    target, log = release_folder(release), HOME + "/logs/build-" + release + ".log"
    unpack(target)
    refuse_pointers(target)
    folder = os.path.join(target, SPEC["root"]) if SPEC["root"] else target
    if not os.path.isdir(folder):
        fail("the repository has no folder %s" % SPEC["root"])
    share(folder)
    if SPEC["container"].get("from") == "shipped":
        take_image(release)
        return
    done, seconds = transient("sp-%s-run-%s" % (APP, SPEC["run"]), folder, SPEC["build_env"], SPEC["build_script"], log, SPEC["limits"])
    if done.returncode != 0:
        explain("the build", done, seconds, log, SPEC["limits"])
    images = []
    if SPEC["container"]:
        try:
            done, more, images = build_image(folder, log)
        finally:
            shutil.rmtree(CONTEXT, ignore_errors=True)
        seconds += more
        if done.returncode != 0:
            explain("the build of the image", done, seconds, log, SPEC["limits"])
    write(complete_marker(release), "\n".join([release, *images, ""]), quiet=True)
    changed("built in %.1f s" % seconds)
    say(user_tail(log))


main()
