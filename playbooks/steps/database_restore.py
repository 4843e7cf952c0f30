"""Brings a dump back and compares the rows of each table with what was counted in it. SPEC: engine, role, name, file, rows, run,
before (the file of a dump of what is there now).

PostgreSQL: into a database beside, compared, and only then put in its place, in one transaction. MariaDB: in place, since it cannot
rename a database; what was there before is put back if the dump cannot be brought to its end, when the server comes up again if it went
down. Either comes to an end when its Run does not: stopped before the dump has taken its place it leaves everything as it was.
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


def load(command, path, first=""):
    """Of a pipeline the last exit status counts: a file that cannot be read to its end ends in what no client takes. First is
    what the client is told before the dump."""
    done = in_unit('{ printf %s "$2"; gzip -dc "$1" || echo "the dump was cut short;"; } | ' + command, path, first)
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
        ENGINE.sql(DATABASES_OWN.replace("@@", role))
        last_moment()
        swap(role, beside, former)
    except BaseException:
        ENGINE.sql("DROP DATABASE IF EXISTS %s WITH (FORCE)" % beside, check=False)
        raise
    in_place()
    ENGINE.sql("DROP DATABASE %s WITH (FORCE)" % former)


# What somebody set or granted at the database itself is in no dump of it. The app's role may set what it likes there: of a list each element is
# quoted anew, since its text may be one that set_config took and would be other SQL here, which a superuser carries out.
DATABASES_OWN = r"""SELECT format('ALTER %s SET %I TO %s',
 CASE WHEN r.rolname IS NULL THEN format('DATABASE %I', '@@-restore') ELSE format('ROLE %I IN DATABASE %I', r.rolname, '@@-restore') END, v.name,
 CASE WHEN v.name IN ('search_path', 'temp_tablespaces', 'local_preload_libraries', 'session_preload_libraries')
  THEN (SELECT coalesce(string_agg(quote_literal(coalesce(replace(e[1], '""', '"'), lower(e[2]))), ', ' ORDER BY n), quote_literal('')) FROM regexp_matches(v.value, '"((?:[^"]|"")*)"|([^",\s]+)', 'g') WITH ORDINALITY m(e, n))
  ELSE quote_literal(v.value) END)
FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase AND d.datname = '@@' LEFT JOIN pg_roles r ON r.oid = s.setrole
CROSS JOIN LATERAL unnest(s.setconfig) c CROSS JOIN LATERAL (SELECT split_part(c, '=', 1), substr(c, strpos(c, '=') + 1)) v(name, value) \gexec
SELECT format('GRANT %s ON DATABASE %I TO %I', a.privilege_type, '@@-restore', r.rolname)
FROM pg_database d CROSS JOIN LATERAL aclexplode(d.datacl) a JOIN pg_roles r ON r.oid = a.grantee WHERE d.datname = '@@' AND a.grantee <> d.datdba \gexec
"""


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
    role, before = SPEC["role"], SPEC["before"]
    dump_path(before)
    marked = (read(half_restored(role)) or b"").decode().strip()
    if marked and os.path.isfile("%s/%s/%s" % (PLACE, SPEC["name"], marked)):
        before = marked
    refuse_unreadable(path)
    last_moment()
    prepare_put_back(role, before)
    try:
        load("mariadb --protocol=socket -u root", path, made_anew(role))
        compare({t: int(ENGINE.sql("SELECT COUNT(*) FROM `%s`" % t.replace("`", "``"), database=role)) for t in SPEC["rows"]})
    except BaseException:
        put_back(role)
        raise
    forget_half_restored(role)
    in_place()
    for login in (role, second_of(role)):
        for number, _ in ENGINE.sessions(login):
            ENGINE.end(number)
    changed("brought it back in place")


def refuse_unreadable(path):
    done = in_unit('gzip -t "$1"', path)
    if done.returncode != 0:
        fail("nothing was changed, since the dump cannot be read to its end: " + last_lines(done.stderr, 1), done.stderr)


def made_anew(role):
    """A dump brings back what it has and takes nothing away: tables and routines that came after it would stay. Grants outlive
    their database."""
    return "DROP DATABASE IF EXISTS `%s`; CREATE DATABASE `%s` %s; USE `%s`;" % (role, role, charset_of(role), role)


def charset_of(role):
    found = ENGINE.sql("SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = '%s'" % role)
    words = found.split("\t")
    if len(words) != 2 or not all(re.fullmatch("[a-z0-9_]+", w) for w in words):
        return "CHARACTER SET utf8mb4"
    return "CHARACTER SET %s COLLATE %s" % tuple(words)


def second_of(role):
    return "sp2_" + role[len("sp_"):]


# Sessions from before have lost their database, and would not notice.
PUT_BACK = r"""#!/bin/sh
# Puts back what was in %(role)s before a restore that did not come to its end.
set -e
[ -e %(mark)s ] || exit 0
gzip -t %(dump)s
ask() { mariadb --protocol=socket -u root "$@"; }
ask -e 'DROP DATABASE IF EXISTS `%(role)s`; CREATE DATABASE `%(role)s` %(charset)s'
gzip -dc %(dump)s | ask %(role)s
ask -N -e "SELECT CONCAT('KILL CONNECTION ', ID, ';') FROM information_schema.PROCESSLIST WHERE USER IN ('%(role)s', '%(second)s')" | ask --force || true
rm -f %(files)s
"""
PUT_BACK_UNIT = """[Unit]
Description=Puts back database %(role)s, whose restore was cut off when this server went down
After=mariadb.service
Wants=mariadb.service
ConditionPathExists=%(mark)s
[Service]
Type=oneshot
TimeoutStartSec=infinity
ExecStartPre=/bin/mkdir -p %(runtime)s
ExecStart=/usr/bin/flock %(runtime)s/database.lock /bin/sh %(script)s
[Install]
WantedBy=multi-user.target
"""


def prepare_put_back(role, before):
    """From here on the server puts back what was there by itself, should it go down before the end."""
    script, unit, wanted = put_back_files(role)
    values = {"role": role, "second": second_of(role), "charset": charset_of(role), "mark": half_restored(role), "dump": dump_path(before), "script": script,
              "runtime": RUNTIME, "files": " ".join((half_restored(role), script, unit, wanted))}
    write(script, PUT_BACK % values, 0o700, quiet=True)
    write(unit, PUT_BACK_UNIT % values, quiet=True)
    with contextlib.suppress(FileExistsError):
        os.symlink(unit, wanted)
    write(half_restored(role), before + "\n", 0o600, quiet=True)
    os.sync()


def put_back(role):
    """Under another name than the Run's unit, which was stopped perhaps."""
    say("putting back what was there before")
    done = in_unit('/bin/sh "$1"', put_back_files(role)[0], suffix="-back")
    if done.returncode != 0:
        fail("what was there before could not be put back: " + complaint(done.stderr.strip()), done.stderr)
    changed("put back what was there before")


def main():
    check_role(SPEC["role"])
    if not ENGINE.find() or not ENGINE.running():
        fail("%s is not running here; start it and ask again" % ENGINE.title)
    path = dump_path(SPEC["file"])
    postgresql(path) if ENGINE.title == "PostgreSQL" else mariadb(path)


with database_lock():
    main()
