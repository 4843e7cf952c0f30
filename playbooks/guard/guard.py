#!/usr/bin/python3 -IS
"""The guarded-change program: the only way ServerPlane changes a server's Nginx tree.

    guard apply < CHANGE.json   bring our complete set of files into force, or leave everything as it was
    guard test                  is the live tree sound?
    guard heal                  undo a change that a crash cut short (apply does so by itself)
    guard prepare               make the folders

Every verb prints one JSON object: result (unchanged, applied, superseded, refused, failed), generation, message, file, line,
ours, seconds. Runs as root, needs nothing but Python 3.9, util-linux and Nginx.
"""

import base64
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

TREE = "/etc/nginx"
HOME = "/var/lib/serverplane"
LIVE = HOME + "/live"
ANNOUNCED = HOME + "/announced"
LOCK = HOME + "/nginx.lock"
MANIFEST = HOME + "/nginx.json"
JOURNAL = HOME + "/nginx.journal"
LAST = HOME + "/guard-last.json"
STAGE = HOME + "/stage"
ERROR_LOG = "/var/log/nginx/error.log"
VERSION_ADDRESS = ("127.0.0.1", 20000)

ANNOUNCE_SECONDS = 0.3
RELOAD_SECONDS = 5.0
LOCK_SECONDS = 60.0
TEST_SECONDS = 30.0
ANSWERS_IN_A_ROW = 3

PATH_RULE = re.compile(r"(conf\.d|modules-enabled|serverplane)(/[a-z0-9_-][a-z0-9._-]*)+")
VERSION_RULE = re.compile(r"[A-Za-z0-9._:-]{0,80}")
MODE_RULE = re.compile(r"0[0-7]{3}")
SITE_RULE = re.compile(r"sp-([a-z][a-z0-9-]*)\.conf")


class Refusal(Exception):
    """Why nothing live was touched: one message, and the file it is about where there is one."""

    def __init__(self, message, file="", line=0, ours=False):
        super().__init__(message)
        self.fields = {"message": message, "file": file, "line": line, "ours": ours}


class Undone(Exception):
    """A change that was in place and did not come into force."""


# ---------------------------------------------------------------- files


def sync_folder(path):
    """Make renames and unlinks in a folder survive a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def temporary(path):
    """Beside path, under a name that no include pattern of Nginx takes in."""
    folder, name = os.path.split(path)
    return os.path.join(folder, "." + name + ".serverplane")


def write_temporary(path, data, mode):
    new = temporary(path)
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "wb") as f:
        f.write(data)
        f.flush()
        os.fchmod(f.fileno(), mode)
        os.fsync(f.fileno())
    return new


def write_file(path, data, mode):
    """Whole or not at all, also after a power cut."""
    os.replace(write_temporary(path, data, mode), path)
    sync_folder(os.path.dirname(path))


def write_json(path, value):
    write_file(path, json.dumps(value, sort_keys=True).encode(), 0o600)


def read_json(path, absent):
    try:
        with open(path, "rb") as f:
            return json.load(f)
    except FileNotFoundError:
        return absent


def remove(path):
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def read_state(path):
    """(content, mode) of a regular file, or None where there is nothing."""
    try:
        with open(path, "rb") as f:
            return f.read(), os.fstat(f.fileno()).st_mode & 0o7777
    except FileNotFoundError:
        return None


def digest(data):
    return hashlib.sha256(data).hexdigest()


def prepare():
    """The folders, open to www-data's stat where the entry looks for markers."""
    for path in (HOME, LIVE, ANNOUNCED, ANNOUNCED + "/a", ANNOUNCED + "/b"):
        os.makedirs(path, exist_ok=True)
        os.chmod(path, 0o755)
    with open(ANNOUNCED + "/b/b", "ab") as mark:
        os.fchmod(mark.fileno(), 0o644)


def take_lock():
    """Whoever changes the Nginx tree holds this lock, Ansible too. Returned open: closing it lets go."""
    f = open(os.open(LOCK, os.O_RDWR | os.O_CREAT, 0o600), "r+")
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return f
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise Refusal("another change of the Nginx tree has held the lock for %d s" % LOCK_SECONDS) from None
            time.sleep(0.02)


def load_manifest():
    empty = {"generation": 0, "version": "", "files": {}}
    try:
        return read_json(MANIFEST, empty)
    except ValueError:
        raise Refusal("the list of our files is damaged", MANIFEST, 0, True) from None


# ---------------------------------------------------------------- nginx


def nginx_master():
    """The process id of the running master, or 0."""
    pid_file = "/run/nginx.pid"
    try:
        with open(TREE + "/nginx.conf", encoding="utf-8", errors="replace") as f:
            named = re.search(r"^\s*pid\s+([^\s;]+)\s*;", f.read(), re.M)
        pid_file = named.group(1) if named else pid_file
        with open(pid_file, encoding="ascii") as f:
            pid = int(f.read())
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            return pid if b"nginx" in f.read() else 0
    except (OSError, ValueError):
        return 0


def children(pid):
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as f:
            return [int(p) for p in f.read().split()]
    except OSError:
        return []


def workers(master):
    """Process ids of the workers that take new connections."""
    found = set()
    for pid in children(master):
        try:
            with open("/proc/%d/cmdline" % pid, "rb") as f:
                title = f.read()
        except OSError:
            continue
        if b"worker process" in title and b"shutting down" not in title:
            found.add(pid)
    return found


def answered_version():
    """What the running Nginx says its version is, or None. A new connection each time: a new worker may take it."""
    try:
        with socket.create_connection(VERSION_ADDRESS, timeout=1) as s:
            s.sendall(b"GET / HTTP/1.0\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            answer = b""
            while len(answer) < 65536:
                piece = s.recv(4096)
                if not piece:
                    break
                answer += piece
    except OSError:
        return None
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.split(b" ", 2)
    if len(status) < 2 or status[1] != b"200":
        return None
    return body.decode("utf-8", "replace").strip()


def in_force(version):
    """The wanted version, several times in a row; an empty version means that nobody can be asked."""
    return version == "" or all(answered_version() == version for _ in range(ANSWERS_IN_A_ROW))


def complaint(text):
    """The first thing Nginx could not do, in either of the two forms it speaks in, or ""."""
    said = re.search(r"^(?:nginx:|\d{4}/\S+ \S+) \[(?:emerg|alert|crit)\] (?:\d+#\d+: )?(.*)$", text, re.M)
    return said.group(1) if said else ""


def run_test(command):
    """Why Nginx refuses the tree that command shows it: (message, file, line), or None.

    A log file that is new is made by this test, and holds visitors' addresses later: not for everybody to read.
    """
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              timeout=TEST_SECONDS, check=False, umask=0o027)
    except subprocess.TimeoutExpired:
        return "nginx -t took longer than %d s (host names that do not resolve?)" % TEST_SECONDS, "", 0
    except FileNotFoundError:
        return "nginx is not installed", "", 0
    if done.returncode == 0:
        return None
    return parse_refusal(done.stderr.decode("utf-8", "replace"))


def parse_refusal(text):
    message = complaint(text) or text.strip() or "nginx -t failed without a word"
    where = re.search(r" in (/.+):(\d+)$", message)
    if not where:
        return message, "", 0
    return message[:where.start()], where.group(1), int(where.group(2))


def test_live():
    return run_test(["nginx", "-t"])


def test_stage():
    """Nginx reads absolute includes, so the copy must stand at the tree's own place: in a mount namespace of its own."""
    script = 'mount --bind "$1" "$2" && exec nginx -t'
    return run_test(["unshare", "-m", "--", "sh", "-c", script, "sh", STAGE, TREE])


def log_size():
    try:
        return os.path.getsize(ERROR_LOG)
    except OSError:
        return 0


def log_since(mark):
    """What Nginx wrote to its log since that had this size; a failed reload is told nowhere else."""
    try:
        with open(ERROR_LOG, "rb") as f:
            f.seek(min(mark, log_size()))
            return f.read(262144).decode("utf-8", "replace")
    except OSError:
        return ""


def start_nginx(mark):
    if os.path.isdir("/run/systemd/system"):
        command = ["systemctl", "start", "nginx"]
    else:
        command = ["nginx"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          timeout=60, check=False)
    if done.returncode != 0:
        said = complaint(log_since(mark)) or parse_refusal(done.stderr.decode("utf-8", "replace"))[0]
        raise Undone("nginx does not start: " + said)


def bring_into_force(version):
    """Reload, or start, and return once new workers answer with version; otherwise raise Undone."""
    mark = log_size()
    master = nginx_master()
    before = workers(master) if master else set()
    if master:
        os.kill(master, signal.SIGHUP)
    else:
        start_nginx(mark)
    deadline = time.monotonic() + RELOAD_SECONDS
    while time.monotonic() < deadline:
        now = workers(nginx_master())
        if now and not now & before and in_force(version):
            return
        if "still could not bind" in log_since(mark):
            break  # it has given up, and the old workers go on
        time.sleep(0.01)
    raise Undone(complaint(log_since(mark)) or "nginx did not answer with version %s within %d s" % (version, RELOAD_SECONDS))


# ---------------------------------------------------------------- the change


def read_change(data):
    """The change, every value checked; a cut-off input is refused here."""
    try:
        change = json.loads(data)
    except ValueError:
        raise Refusal("the change did not arrive whole") from None
    if not isinstance(change, dict) or not isinstance(change.get("files"), list):
        raise Refusal("the change is not what this program expects")
    generation, version = change.get("generation"), change.get("version")
    if type(generation) is not int or generation < 0:
        raise Refusal("generation must be a whole number")
    if not isinstance(version, str) or not VERSION_RULE.fullmatch(version):
        raise Refusal("version must be up to 80 letters, digits and . _ : -")
    wanted = {}
    for f in change["files"]:
        path, state = read_wanted(f)
        if path in wanted:
            raise Refusal("file named twice: " + path)
        wanted[path] = state
    return generation, version, wanted, change.get("announce") is True


def read_wanted(f):
    if not isinstance(f, dict) or not all(isinstance(f.get(k), str) for k in ("path", "text", "mode")):
        raise Refusal("a file needs path, text and mode")
    path = f["path"]
    if not PATH_RULE.fullmatch(path) or len(path) > 200:
        raise Refusal("path not allowed: " + path)
    if not MODE_RULE.fullmatch(f["mode"]):
        raise Refusal("mode not allowed: " + f["mode"])
    return path, (f["text"].encode(), int(f["mode"], 8))


def real(path):
    return os.path.join(TREE, path)


def check_place(path, data, manifest):
    """Refuse what is not ours: a file somebody else wrote, and any way that leads out of the tree."""
    parts = path.split("/")
    for depth in range(1, len(parts) + 1):
        here = real("/".join(parts[:depth]))
        if os.path.islink(here):
            raise Refusal("a symbolic link is in the place of our file", here)
        if depth < len(parts) and os.path.lexists(here) and not os.path.isdir(here):
            raise Refusal("a file is in the place of our folder", here)
    if os.path.lexists(real(path)) and not os.path.isfile(real(path)):
        raise Refusal("something that is no file is in the place of our file", real(path))
    if path in manifest["files"] or not os.path.exists(real(path)):
        return
    if read_state(real(path))[0] != data:
        raise Refusal("a file of this name exists and is not ours", real(path))


def differences(wanted, manifest):
    """{path: (old state or None, new state or None)} of all that must change on disk."""
    changes = {}
    for path, state in wanted.items():
        old = read_state(real(path))
        if old != state:
            changes[path] = (old, state)
    for path in manifest["files"]:
        if path not in wanted and os.path.isfile(real(path)):
            changes[path] = (read_state(real(path)), None)
    return changes


def stage(changes):
    """A copy of the whole tree with the change in it."""
    shutil.rmtree(STAGE, ignore_errors=True)
    try:
        shutil.copytree(TREE, STAGE, symlinks=True)
    except shutil.Error as failures:  # one for each file: the first says it
        raise Refusal("a copy of the tree could not be made: %s" % failures.args[0][0][2]) from None
    os.chmod(STAGE, 0o700)
    for path, (_, new) in changes.items():
        copy = os.path.join(STAGE, path)
        if new is None:
            os.unlink(copy)
            continue
        os.makedirs(os.path.dirname(copy), mode=0o755, exist_ok=True)
        with open(copy, "wb") as f:
            f.write(new[0])


def prove(changes, ours):
    """Raise Refusal unless Nginx accepts the tree as it would be."""
    try:
        stage(changes)
        refused = test_stage()
    finally:
        shutil.rmtree(STAGE, ignore_errors=True)
    if refused is None:
        return
    message, file, line = refused
    mine = file in {real(path) for path in ours}
    if not mine and test_live() is not None:
        message = "the tree was broken before this change: " + message
    raise Refusal(message, file, line, mine)


def make_folders(paths):
    for path in paths:
        folder = os.path.dirname(real(path))
        if not os.path.isdir(folder):
            os.makedirs(folder, mode=0o755)
            sync_folder(os.path.dirname(folder))


def put(states):
    """Bring {path: state or None} onto the disk: all new contents first, then the quick renames."""
    make_folders([path for path, state in states.items() if state is not None])
    for path, state in states.items():
        if state is not None:
            write_temporary(real(path), state[0], state[1])
    for path, state in states.items():
        if state is None:
            remove(real(path))
            remove(temporary(real(path)))
        else:
            os.replace(temporary(real(path)), real(path))
    for folder in {os.path.dirname(real(path)) for path in states}:
        if os.path.isdir(folder):
            sync_folder(folder)


def pack(state):
    return None if state is None else {"data": base64.b64encode(state[0]).decode(), "mode": state[1]}


def unpack(packed):
    return None if packed is None else (base64.b64decode(packed["data"]), packed["mode"])


def announce():
    """Let running answers tell their clients to come back on a new connection: each app's marker becomes a folder for a while."""
    lock = lock_markers()
    try:
        for app in sites():
            marker = "%s/%s.b" % (LIVE, app)
            new = temporary(marker)
            remove(new)
            os.symlink(ANNOUNCED + ("/b" if os.path.isfile(marker) else "/a"), new)
            os.replace(new, marker)
    finally:
        os.close(lock)
    time.sleep(ANNOUNCE_SECONDS)


def end_announcement():
    """Give every marker back the form it has in quiet times; the slot it tells stays the same."""
    lock = lock_markers()
    try:
        for name in os.listdir(LIVE):
            marker = os.path.join(LIVE, name)
            if not os.path.islink(marker):
                continue
            if name.startswith("."):  # on its way to become a marker when a crash came
                remove(marker)
            elif os.readlink(marker) == ANNOUNCED + "/b":
                write_file(marker, b"", 0o644)
            else:
                remove(marker)
    finally:
        os.close(lock)


def lock_markers():
    """Whoever changes a marker holds this lock, switch too, and never for long. Returned open: closing it lets go."""
    fd = os.open(LIVE, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    return fd


def sites():
    """The apps that are in the live tree."""
    names = [SITE_RULE.fullmatch(name) for name in os.listdir(real("conf.d"))]
    return [name.group(1) for name in names if name]


def swap(changes, newer, old_version, announced):
    """Change the live tree; raise Undone, with everything as it was, if that does not come into force."""
    was_running = nginx_master() != 0
    try:
        if announced and was_running:
            announce()
        if changes:
            before = {path: pack(old) for path, (old, _) in changes.items()}
            write_json(JOURNAL, {"version": old_version, "files": before, "towards": newer})
        try:
            put({path: new for path, (_, new) in changes.items()})
            bring_into_force(newer["version"])
        except (Undone, OSError, subprocess.SubprocessError) as cause:
            undo({path: old for path, (old, _) in changes.items()}, old_version, was_running, cause)
    finally:
        end_announcement()


def undo(states, old_version, was_running, cause):
    put(states)
    tidy([path for path, state in states.items() if state is None])
    trouble = ""
    if was_running and states:
        try:
            bring_into_force(old_version)
        except Undone as again:
            trouble = "; putting the old files back was not seen in force either: %s" % again
    forget_journal()
    raise Undone(str(cause) + trouble) from None


def forget_journal():
    remove(JOURNAL)
    sync_folder(HOME)


def heal():
    """Undo what a crash left half done: the journal says what was there before."""
    end_announcement()
    shutil.rmtree(STAGE, ignore_errors=True)
    journal = read_json(JOURNAL, None)
    if journal is None:
        return False
    for path in journal["files"]:
        remove(temporary(real(path)))
    version = journal["version"]
    if load_manifest() == journal["towards"]:
        version = journal["towards"]["version"]  # it was done, only the journal was still there
    else:
        put({path: unpack(packed) for path, packed in journal["files"].items()})
    if nginx_master():
        try:
            bring_into_force(version)
        except Undone:
            pass  # what is in force is asked again before anything is called unchanged
    forget_journal()
    return True


def tidy(removed):
    """Take away folders that only our files were in; conf.d and modules-enabled are Nginx's."""
    for path in removed:
        folder = os.path.dirname(path)
        while folder not in ("", "conf.d", "modules-enabled"):
            try:
                os.rmdir(real(folder))
            except OSError:
                break
            folder = os.path.dirname(folder)


def apply_locked(generation, version, wanted, announced):
    heal()
    manifest = load_manifest()
    if generation < manifest["generation"]:
        return outcome("superseded", manifest["generation"])
    for path, (data, _) in wanted.items():
        check_place(path, data, manifest)
    changes = differences(wanted, manifest)
    newer = {"generation": generation, "version": version, "files": {p: digest(d) for p, (d, _) in wanted.items()}}
    if not changes and nginx_master() and in_force(version):
        if newer != manifest:
            write_json(MANIFEST, newer)
        return outcome("unchanged", generation)
    prove(changes, wanted)
    by_hand = changed_by_hand(changes, manifest)
    try:
        swap(changes, newer, manifest["version"], announced)
    except Undone as why:
        return outcome("failed", manifest["generation"], message=str(why))
    write_json(MANIFEST, newer)
    forget_journal()
    tidy([path for path, (_, new) in changes.items() if new is None])
    return outcome("applied", generation, message=by_hand)


def changed_by_hand(changes, manifest):
    """A word about edits that this change replaces, so that nobody wonders where they went."""
    edited = [real(path) for path, (old, _) in changes.items()
              if old is not None and manifest["files"].get(path, digest(old[0])) != digest(old[0])]
    return "replaced what had been changed by hand: " + ", ".join(sorted(edited)) if edited else ""


def outcome(result, generation, message="", file="", line=0, ours=False):
    return {"result": result, "generation": generation, "message": message[:4000], "file": file, "line": line, "ours": ours}


# ---------------------------------------------------------------- verbs


def verb_apply(data):
    change = read_change(data)
    with take_lock():
        return apply_locked(*change)


def verb_heal():
    with take_lock():
        healed = heal()
        return outcome("applied" if healed else "unchanged", load_manifest()["generation"])


def verb_test():
    manifest = load_manifest()
    refused = test_live()
    if refused is None:
        return outcome("unchanged", manifest["generation"])
    message, file, line = refused
    return outcome("refused", manifest["generation"], message, file, line, file in {real(p) for p in manifest["files"]})


def verb_prepare():
    return outcome("unchanged", load_manifest()["generation"])


def known_generation():
    try:
        return load_manifest()["generation"]
    except Refusal:
        return 0


def carry_out(verb, arguments):
    """The outcome of a verb, whatever happens in it."""
    begun = time.monotonic()
    try:
        prepare()
        result = verb(*arguments)
    except Refusal as refusal:
        result = outcome("refused", known_generation(), **refusal.fields)
    except Exception as surprise:  # the caller waits for an outcome; the journal heals what was cut short
        result = outcome("failed", known_generation(), "%s: %s" % (type(surprise).__name__, surprise))
    result["seconds"] = round(time.monotonic() - begun, 4)
    return result


def shielded(verb, arguments):
    """Carry out a verb in a process of its own that outlives the connection it was asked for over."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        try:
            os.close(reader)
            detach()
            report(carry_out(verb, arguments), writer)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as f:
        return json.loads(f.read() or json.dumps(outcome("failed", known_generation(), "the change was killed")))


def detach():
    os.setsid()
    for one in (signal.SIGHUP, signal.SIGPIPE, signal.SIGTERM, signal.SIGINT):
        signal.signal(one, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)


def report(result, writer):
    """To the file first: whoever asked may be gone, which is an error nobody is left to hear."""
    try:
        write_json(LAST, result)
    finally:
        os.write(writer, json.dumps(result).encode())


def main(args):
    os.umask(0o022)
    os.environ["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    os.environ["LC_ALL"] = "C"
    if args == ["apply"]:
        result = shielded(verb_apply, [sys.stdin.buffer.read()])
    elif args == ["heal"]:
        result = shielded(verb_heal, [])
    elif args == ["test"]:
        result = carry_out(verb_test, [])
    elif args == ["prepare"]:
        result = carry_out(verb_prepare, [])
    else:
        sys.stderr.write(__doc__)
        return 2
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
