"""Runs a script once in a release, as the app's user with a slot's variables. SPEC: app, slot, release, root, run, script, limits."""


def main():
    folder = os.path.join(release_folder(SPEC["release"]), SPEC["root"]) if SPEC["root"] else release_folder(SPEC["release"])
    log = HOME + "/logs/run-" + SPEC["run"] + ".log"
    unit = "sp-%s-run-%s" % (APP, SPEC["run"])
    done, seconds = transient(unit, folder, CONFIG + "/" + SPEC["slot"] + "/env", SPEC["script"], log, SPEC["limits"])
    if done.returncode != 0:
        explain("the run-once command", done, seconds, log, SPEC["limits"])
    changed("ran in %.1f s" % seconds)
    say(user_tail(log))


main()
