"""Dumps one database into a file that appears whole and checked, or not at all. SPEC: engine, role, name, file, run, or_gone (a
database that is not there is no failure). Prints "learned: {...}": bytes and the rows of each
table, as they are in the dump, or that it is gone.
"""

import gzip

PLACE = "/var/backups/serverplane/databases"
NAME_RULE = re.compile(r"[a-z][a-z0-9-]{0,23}")
WORD = rb'(?:"(?:[^"]|"")*"|[a-z_][a-z0-9_$]*)'  # as database_restore.py takes it: text of a function can look like a COPY
INSERT_RULE = re.compile(rb"(CREATE TABLE|INSERT INTO) `((?:[^`]|``)+)`")
COPY_RULE = re.compile(rb"COPY (" + WORD + rb"\." + WORD + rb") .*FROM stdin;$")
FILE_RULE = re.compile(r"[0-9]{8}T[0-9]{6}Z-[a-z0-9]{4,16}\.dump")


def path_of(file):
    if not NAME_RULE.fullmatch(SPEC["name"]) or not FILE_RULE.fullmatch(file):
        fail("%r is not a dump of ServerPlane's" % file)
    return "%s/%s/%s" % (PLACE, SPEC["name"], file)


def make_place():
    for path in ("/var/backups/serverplane", PLACE, PLACE + "/" + SPEC["name"]):
        folder(path, 0o700)


def dump(engine, path, more=""):
    if engine.title == "PostgreSQL":
        command = "runuser -u postgres -- pg_dump -p %d -Fc -Z0 --no-owner %s" % (engine.port, SPEC["role"])
    else:
        command = "mariadb-dump --protocol=socket -u root --single-transaction --routines --triggers --events --no-autocommit%s %s" % (more, SPEC["role"])
    # A shell without pipefail would take half a dump for a whole one: the exit status of the dump itself is told.
    shell = "exec 3>\"$1\" && { { %s; echo $? >\"$2\"; } | gzip -1 >&3; } && [ \"$(cat \"$2\")\" = 0 ]" % command
    status = path + ".status"
    done = in_unit(shell, path, status)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(status)
    if done.returncode != 0:
        fail("the dump of %s failed: %s" % (SPEC["role"], complaint(done.stderr.strip())), done.stderr)


def rows_of(engine, path):
    """Reads the whole dump back and counts the rows of each table in it. One that was cut short has no end."""
    if engine.title == "PostgreSQL":
        return count_postgresql(path)
    rows = count_mariadb(path)
    if rows is None:  # older than a row a line: slower to restore, but it can be counted
        dump(engine, path, " --skip-extended-insert")
        rows = count_mariadb(path, alone=True)
    return rows


def count_mariadb(path, alone=False):
    """An INSERT has many rows, each on a line of its own: line breaks in values are escaped. Its last ends in a semicolon.
    With alone it has one row, on the same line or the next. None: several rows may be on a line."""
    rows, table, last = {}, None, b""
    with gzip.open(path, "rb") as f:
        for line in f:
            if table is not None:
                rows[table] += 1
                table = None if line.endswith(b");\n") else table
                continue
            last = line if line.strip() else last
            found = INSERT_RULE.match(line)
            if not found:
                continue
            name = found.group(2).replace(b"``", b"`").decode("utf-8", "replace")
            rows.setdefault(name, 0)
            if found.group(1) == b"INSERT INTO":
                if line.endswith(b" VALUES\n"):
                    table = name
                elif alone:
                    rows[name] += 1
                else:
                    return None
    if table is not None or not last.startswith(b"-- Dump completed"):
        fail("the dump of %s has no end" % SPEC["role"])
    return rows


def count_postgresql(path):
    """pg_restore turns the whole dump into text: what it cannot read, it says."""
    rows, table = {}, None
    reader = subprocess.Popen(["/bin/sh", "-c", "gzip -dc \"$1\" | pg_restore -f -", "sp", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for line in reader.stdout:
        if table is not None:
            if line == b"\\.\n":
                table = None
            else:
                rows[table] += 1
            continue
        found = COPY_RULE.match(line.rstrip(b"\n"))
        if found:
            table = found.group(1).decode("utf-8", "replace")
            rows[table] = 0
    said = reader.stderr.read().decode("utf-8", "replace")
    if reader.wait() != 0 or said.strip() or table is not None:
        fail("the dump of %s cannot be read back" % SPEC["role"], said)
    return rows


def last_through_a_power_cut(place):
    """What is in a folder is the folder's own to write."""
    handle = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(handle)
    os.close(handle)


def main():
    engine = engine_of()
    check_role(SPEC["role"])
    if not engine.find() or not engine.running():
        fail("%s is not running here; start it and ask again" % engine.title)
    with database_lock():  # a restore that outlived its Run comes to its end first
        tell_half_restored(SPEC["role"])
        if SPEC["or_gone"] and not engine.holds(SPEC["role"]):
            say_fact({"gone": True})
            return
        engine.reopen(SPEC["role"])
    make_place()
    path = path_of(SPEC["file"])
    part = path + ".part"
    try:
        dump(engine, part)
        rows = rows_of(engine, part)
        with open(part, "rb") as f:
            os.fsync(f.fileno())
        os.chmod(part, 0o600)
        os.rename(part, path)
        last_through_a_power_cut(os.path.dirname(path))
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)
    changed("dumped %s to %s" % (SPEC["role"], path))
    say_fact({"path": path, "bytes": os.path.getsize(path), "rows": rows})


main()
