"""Brings a dump back and compares the rows of each table with what was counted in it. SPEC: engine, role, name, file, rows, run,
before (the file of a dump of what is there now).

PostgreSQL: into a database beside, compared, and only then put in its place, in one transaction. MariaDB: in place, since it cannot
rename a database; what was there before is put back if the dump cannot be brought to its end. Either comes to an end when its Run does
not: stopped before the dump has taken its place it leaves everything as it was.
"""

PLACE = "/var/backups/serverplane/databases"
ENGINE = engine_of()
WORD = r'(?:"(?:[^"\x00-\x1f]|"")+"|[a-z_][a-z0-9_$]*)'
TABLE_RULE = re.compile(WORD + r"\." + WORD)


def dump_path(file):
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,23}", SPEC["name"]) or not re.fullmatch(r"[0-9]{8}T[0-9]{6}Z-[a-z0-9]{4,16}\.dump", file):
        fail("%r is not a dump of ServerPlane's" % file)
    path = "%s/%s/%s" % (PLACE, SPEC["name"], file)
    if not os.path.isfile(path):
        fail("the dump %s is not on this server any more" % path)
    return path


def load(command, path, suffix=""):
    """Of a pipeline the last exit status counts: a file that cannot be read to its end ends in what no client takes."""
    done = in_unit('{ gzip -dc "$1" || echo "the dump was cut short;"; } | ' + command, path, suffix=suffix)
    if done.returncode != 0:
        fail("the dump could not be brought back: " + complaint(done.stderr.strip()), done.stderr)


def compare(there):
    wrong = ["%s: %s instead of %d" % (t, there.get(t, "no such table"), n) for t, n in sorted(SPEC["rows"].items()) if there.get(t) != n]
    if wrong:
        fail("the rows are not those of the dump: " + "; ".join(wrong[:5]), "\n".join(wrong))
    say("compared: %d rows in %d tables, as in the dump" % (sum(SPEC["rows"].values()), len(SPEC["rows"])))


def rows_in(table, database):
    """Counts a table's rows as lines of a COPY: that takes no view and plans nothing, so no code of the app runs with our rights."""
    if not TABLE_RULE.fullmatch(table):
        fail("%r is not a table's name" % table)
    return int(ENGINE.sql("COPY %s TO STDOUT \\g |wc -l\n" % table, database=database))


def last_moment():
    """From here on the dump takes its place."""
    if was_stopped():
        fail("it was stopped before the dump took its place")


def in_place():
    """The panel reads which Run's restore came to its end (restoration.undo in runner/backup.go)."""
    write(RESTORED, SPEC["run"] + "\n", 0o644, quiet=True)


def postgresql(path):
    """No role, so no other database of ours, has a - in its name."""
    role, beside, former = SPEC["role"], '"%s-restore"' % SPEC["role"], '"%s-before"' % SPEC["role"]
    ENGINE.reopen(role)
    ENGINE.sql("DROP DATABASE IF EXISTS %s WITH (FORCE);\nDROP DATABASE IF EXISTS %s WITH (FORCE);\n"
               "CREATE DATABASE %s OWNER %s TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8';\n"
               "REVOKE ALL ON DATABASE %s FROM PUBLIC;" % (beside, former, beside, role, beside))
    try:
        load("runuser -u postgres -- pg_restore -p %d --no-owner --role=%s --exit-on-error -d %s" % (ENGINE.port, role, beside), path)
        compare({t: rows_in(t, beside.strip('"')) for t in SPEC["rows"]})
        last_moment()
        swap(role, beside, former)
    except BaseException:
        ENGINE.sql("DROP DATABASE IF EXISTS %s WITH (FORCE)" % beside, check=False)
        raise
    in_place()
    ENGINE.sql("DROP DATABASE %s WITH (FORCE)" % former)


def swap(role, beside, former):
    """In one transaction, so that nothing is ever half done. It waits up to 5 s for the last session to end, while nobody new gets
    in; sessions are ended from another one meanwhile."""
    begun = time.monotonic()
    live = int(ENGINE.sql("SELECT oid FROM pg_database WHERE datname = '%s'" % role))
    command = ["runuser", "-u", "postgres", "--", "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-p", str(ENGINE.port), "-d", "postgres", "-c",
               "BEGIN", "-c", "ALTER DATABASE %s RENAME TO %s" % (role, former), "-c", "ALTER DATABASE %s RENAME TO %s" % (beside, role), "-c", "COMMIT"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd="/") as taking:
        while taking.poll() is None:
            ENGINE.sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datid = %d \\g /dev/null" % live, check=False)
            time.sleep(0.05)
        said = taking.stderr.read()
    if taking.returncode != 0:
        fail("the dump could not take the place of what is there: " + complaint(said), said)
    changed("put it in place of the former; connections were cut for %.1f s" % (time.monotonic() - begun))


def mariadb(path):
    """The mark is there while the database may hold a part only. One that is there already tells the only dump of the whole."""
    mark, before = half_restored(SPEC["role"]), SPEC["before"]
    dump_path(before)
    marked = (read(mark) or b"").decode().strip()
    if marked and os.path.isfile("%s/%s/%s" % (PLACE, SPEC["name"], marked)):
        before = marked
    last_moment()
    write(mark, before + "\n", 0o600, quiet=True)
    try:
        load("mariadb --protocol=socket -u root " + SPEC["role"], path)
        compare({t: int(ENGINE.sql("SELECT COUNT(*) FROM `%s`" % t.replace("`", "``"), database=SPEC["role"])) for t in SPEC["rows"]})
    except BaseException:
        put_back(before)
        os.unlink(mark)
        raise
    os.unlink(mark)
    in_place()
    changed("brought it back in place")


def put_back(before):
    """Under another name than the Run's unit, which was stopped perhaps."""
    path = dump_path(before)
    say("putting back what was there before")
    ENGINE.sql("DROP DATABASE `%s`; CREATE DATABASE `%s` CHARACTER SET utf8mb4" % (SPEC["role"], SPEC["role"]))
    load("mariadb --protocol=socket -u root " + SPEC["role"], path, suffix="-back")
    for login in (SPEC["role"], "sp2_" + SPEC["role"][3:]):  # sessions from before have lost their database, and would not notice
        for number, _ in ENGINE.sessions(login):
            ENGINE.end(number)
    changed("put back what was there before")


def main():
    check_role(SPEC["role"])
    if not ENGINE.find() or not ENGINE.running():
        fail("%s is not running here; start it and ask again" % ENGINE.title)
    path = dump_path(SPEC["file"])
    postgresql(path) if ENGINE.title == "PostgreSQL" else mariadb(path)


with database_lock():
    main()
