"""Brings a dump back and compares the rows of each table with what was counted in it. SPEC: engine, role, name, file, rows, run.

PostgreSQL: into a database beside, compared, and only then put in its place. MariaDB: in place, since it cannot rename a database;
the panel has dumped what was there before.
"""

PLACE = "/var/backups/serverplane/databases"
ENGINE = engine_of()
WORD = r'(?:"(?:[^"\x00-\x1f]|"")+"|[a-z_][a-z0-9_$]*)'
TABLE_RULE = re.compile(WORD + r"\." + WORD)


def dump_path():
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,23}", SPEC["name"]) or not re.fullmatch(r"[0-9]{8}T[0-9]{6}Z-[a-z0-9]{4,16}\.dump", SPEC["file"]):
        fail("%r is not a dump of ServerPlane's" % SPEC["file"])
    path = "%s/%s/%s" % (PLACE, SPEC["name"], SPEC["file"])
    if not os.path.isfile(path):
        fail("the dump %s is not on this server any more" % path)
    return path


def load(command, path):
    done = run("systemd-run", "--quiet", "--wait", "--collect", "--pipe", "--unit=sp-database-run-" + SPEC["run"], "-p", "CPUWeight=20", "-p", "IOWeight=20",
               "/bin/sh", "-c", "gzip -dc \"$1\" | " + command, "sp", path, check=False, cwd="/")
    if done.returncode != 0:
        fail("the dump could not be brought back: " + last_lines(done.stderr, 1), done.stderr)


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


def postgresql(path):
    """No role, so no other database of ours, has a - in its name."""
    role, beside, former = SPEC["role"], '"%s-restore"' % SPEC["role"], '"%s-before"' % SPEC["role"]
    ENGINE.sql("DROP DATABASE IF EXISTS %s WITH (FORCE);\nDROP DATABASE IF EXISTS %s WITH (FORCE);\n"
               "CREATE DATABASE %s OWNER %s TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8';\n"
               "REVOKE ALL ON DATABASE %s FROM PUBLIC;" % (beside, former, beside, role, beside))
    try:
        load("runuser -u postgres -- pg_restore -p %d --no-owner --role=%s --exit-on-error -d %s" % (ENGINE.port, role, beside), path)
        compare({t: rows_in(t, beside.strip('"')) for t in SPEC["rows"]})
    except SystemExit:
        ENGINE.sql("DROP DATABASE IF EXISTS %s WITH (FORCE)" % beside, check=False)
        raise
    begun = time.monotonic()
    try:
        ENGINE.sql("ALTER DATABASE %s WITH ALLOW_CONNECTIONS false;\nSELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '%s' \\g /dev/null\n"
                   "BEGIN;\nALTER DATABASE %s RENAME TO %s;\nALTER DATABASE %s RENAME TO %s;\nCOMMIT;" % (role, role, role, former, beside, role))
    except SystemExit:
        ENGINE.sql("ALTER DATABASE %s WITH ALLOW_CONNECTIONS true" % role, check=False)
        raise
    changed("put it in place of the former; connections were cut for %.1f s" % (time.monotonic() - begun))
    ENGINE.sql("DROP DATABASE %s WITH (FORCE)" % former)


def mariadb(path):
    load("mariadb --protocol=socket -u root " + SPEC["role"], path)
    compare({t: int(ENGINE.sql("SELECT COUNT(*) FROM `%s`" % t.replace("`", "``"), database=SPEC["role"])) for t in SPEC["rows"]})
    changed("brought it back in place")


def main():
    check_role(SPEC["role"])
    if not ENGINE.find() or not ENGINE.running():
        fail("%s is not running here; start it and ask again" % ENGINE.title)
    path = dump_path()
    postgresql(path) if ENGINE.title == "PostgreSQL" else mariadb(path)


with database_lock():
    main()
