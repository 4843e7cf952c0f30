"""Runs a script once in a release, as the app's user with a slot's variables; where slots are containers, in one of its own like the slot's.

SPEC: app, slot, release, server, root, run, script, limits.
"""

ONCE = "sp-%s-once" % APP
IN_CONTAINER = """docker="docker --host unix:///run/docker.sock"
$docker rm --force --volumes "$1" >/dev/null 2>&1
answer=$(curl -q --silent --show-error --fail-with-body --noproxy '*' --unix-socket /run/docker.sock \\
    --header 'Content-Type: application/json' --data-binary "@$2" "http://docker/containers/create?name=$1") || { echo "$answer"; exit 1; }
exec $docker start --attach "$1"
"""


def in_container(unit, log):
    """The slot's container with another command, reached by nobody. It is gone with its unit, however that ends."""
    made = json.loads(read(CONFIG + "/" + SPEC["slot"] + "/container.json"))
    script = (read(SPEC["script"]) or b"").decode()
    made.update({"Entrypoint": ["/bin/sh", "-c", script, "run-once"], "Cmd": [], "ExposedPorts": {}})
    made["HostConfig"]["PortBindings"] = {}
    body = RUNTIME + "/" + APP + ".once"
    write(body, json.dumps(made), 0o600, quiet=True)
    try:
        return logged(unit, ["ExecStopPost=-/usr/bin/env %s rm --force --volumes %s" % (" ".join(DOCKER), ONCE)], SPEC["limits"], log, "/dev/null",
                      "/bin/sh", "-c", IN_CONTAINER, "sp", ONCE, body)
    finally:
        os.unlink(body)


def main():
    folder = os.path.join(release_folder(SPEC["release"]), SPEC["root"]) if SPEC["root"] else release_folder(SPEC["release"])
    log = HOME + "/logs/run-" + SPEC["run"] + ".log"
    unit = "sp-%s-run-%s" % (APP, SPEC["run"])
    if contained():
        done, seconds = in_container(unit, log)
    else:
        done, seconds = transient(unit, folder, CONFIG + "/" + SPEC["slot"] + "/env", SPEC["script"], log, SPEC["limits"],
                                  "SERVERPLANE_RELEASE=" + SPEC["release"], "SERVERPLANE_SERVER=" + SPEC["server"])
    if done.returncode != 0:
        explain("the run-once command", done, seconds, log, SPEC["limits"])
    changed("ran in %.1f s" % seconds)
    say(user_tail(log))


main()
