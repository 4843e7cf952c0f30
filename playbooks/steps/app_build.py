"""Unpacks a release and builds it in a unit of its own.

SPEC: app, slot, release, run, archive (tar on the server), root, build_env, build_script, limits {seconds, memory}.
"""


def unpack(target):
    user = account()
    os.mkdir(target, 0o750)
    os.chown(target, user.pw_uid, user.pw_gid)
    zipped = ["-z"] if SPEC["archive"].endswith("gz") else []
    with open(SPEC["archive"], "rb") as archive:
        run("tar", "-x", *zipped, "-C", target, "-f", "-", stdin=archive, cwd="/", **as_user())
    os.unlink(SPEC["archive"])


def main():
    release = SPEC["release"]
    target, log = release_folder(release), HOME + "/logs/build-" + release + ".log"
    unpack(target)
    folder = os.path.join(target, SPEC["root"]) if SPEC["root"] else target
    if not os.path.isdir(folder):
        fail("the repository has no folder %s" % SPEC["root"])
    done, seconds = transient("sp-%s-run-%s" % (APP, SPEC["run"]), folder, SPEC["build_env"], SPEC["build_script"], log, SPEC["limits"])
    if done.returncode != 0:
        explain("the build", done, seconds, log, SPEC["limits"])
    write(complete_marker(release), release + "\n", quiet=True)
    changed("built in %.1f s" % seconds)
    say(user_tail(log))


main()
