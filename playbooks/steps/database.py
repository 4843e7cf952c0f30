"""What the steps about databases share; put between server.py and the step. SPEC: engine, and what each step names."""

import contextlib
import ipaddress

ROLE_RULE = re.compile(r"sp2?_[a-z][a-z0-9_]{0,23}")
FOLDER = "/etc/serverplane/database"
STOPPED, RESTORED = RUNTIME + "/database.stopped", RUNTIME + "/database.restored"


def say_fact(facts):
    """The panel reads this line: runner/database.go."""
    say("learned: " + json.dumps(facts))


@contextlib.contextmanager
def database_lock():
    os.makedirs(RUNTIME, mode=0o755, exist_ok=True)
    with open(RUNTIME + "/database.lock", "w") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def unit_of_run():
    return "sp-database-run-" + SPEC["run"]


def was_stopped():
    """Whoever stops a Run notes that first (stopRunUnit of the panel), so that a step which outlives it does not go on."""
    return (read(STOPPED) or b"").decode("utf-8", "replace").strip() == unit_of_run()


def in_unit(shell, *args, suffix=""):
    """Runs a shell script in a unit of its own: it can last, must not slow the app down, and is stopped by its name.

    systemd takes an end by SIGTERM for a success, so that a stopped restore would pass for a finished one: the script says
    itself that it came to its end.
    """
    unit = unit_of_run() + suffix
    ended = "%s/%s.ended" % (RUNTIME, unit)
    shell = 'read -r sp_stopped 2>/dev/null <"$1"; [ "$sp_stopped" != "$2" ] || exit 143; ended=$3; shift 3; (%s); status=$?; ' \
            '[ "$status" != 0 ] || echo done >"$ended"; exit "$status"' % shell
    os.makedirs(RUNTIME, mode=0o755, exist_ok=True)
    try:
        done = run_in_unit(["--unit=" + unit, "-p", "CPUWeight=20", "-p", "IOWeight=20"], shell, STOPPED, unit, ended, *args, cwd="/")
        if done.returncode == 0 and not os.path.exists(ended):
            done.returncode = 143
        if done.returncode != 0 and not done.stderr.strip():
            done.stderr = "it was stopped"
        return done
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(ended)


def half_restored(role):
    """Notes what was in a database before a restore that works in place; it is there while that has not come to its end."""
    return "%s/restoring-%s" % (STATE, role)


def put_back_files(role):
    """What puts back the database of before: the script, and the unit that runs it should the server go down meanwhile."""
    unit = "serverplane-put-back-%s.service" % role
    return "%s/put-back-%s" % (STATE, role), "/etc/systemd/system/" + unit, "/etc/systemd/system/multi-user.target.wants/" + unit


def forget_half_restored(role):
    """The mark goes first: without it the unit does nothing."""
    for path in (half_restored(role), *put_back_files(role)):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def tell_half_restored(role):
    before = read(half_restored(role))
    if before is not None:
        say("warning: a restore of %s was cut off in the middle and nothing could be put back: it may hold a part only. "
            "Restore it again; what was there before is %s" % (role, before.decode("utf-8", "replace").strip()))


def plain_address(text):
    """An address in one form, however an engine writes it; what is none stays as it is."""
    try:
        address = ipaddress.ip_address(text.strip("[]").split("%")[0])
    except ValueError:
        return text
    return str(getattr(address, "ipv4_mapped", None) or address)


def end_sessions(engine, role, allowed):
    """Ends a role's sessions from anywhere but the allowed addresses, and looks until none is left. It is called when the
    right to connect is gone, so that who comes again at once is refused."""
    allowed = {plain_address(a) for a in allowed}
    foreign = lambda: [(n, a) for n, a in engine.sessions(role) if plain_address(a) not in allowed]
    ended, deadline = {}, time.monotonic() + 15
    while True:
        there = foreign()
        if not there:
            break
        if time.monotonic() > deadline:
            fail("%d sessions of %s do not end, the first from %s" % (len(there), role, there[0][1]))
        for number, address in there:
            ended[number] = address
            engine.end(number)
        time.sleep(0.2)
    if ended:
        changed("ended %d sessions of %s from %s; none is left" % (len(ended), role, ", ".join(sorted({plain_address(a) for a in ended.values()}))))
    return len(ended)


@contextlib.contextmanager
def held_back(*units):
    """A package's engine must not start before our files are there: it would listen elsewhere and need a restart."""
    policy = "/usr/sbin/policy-rc.d"
    ours = not os.path.lexists(policy)
    if ours:
        write(policy, "#!/bin/sh\ncase $1 in %s) exit 101;; esac\nexit 0\n" % "|".join(units), 0o755, quiet=True)
    try:
        yield
    finally:
        if ours:
            os.unlink(policy)


def complaint(text):
    """The line that says what is wrong; others point at a place in the statement."""
    lines = [l for l in text.splitlines() if "No space left" in l] or [l for l in text.splitlines() if re.search("ERROR|FATAL", l)]
    return lines[0] if lines else last_lines(text, 1)


def port_holder(port):
    """Who listens on a port, in words, or nobody."""
    for line in output("ss", "-ltnpH", "sport = :%d" % port).splitlines():
        found = re.search(r'\(\("([^"]+)",pid=(\d+)', line)
        return "%s (pid %s)" % found.groups() if found else "a program"
    return None


class PostgreSQL:
    title, packages, units, secret_owner = "PostgreSQL", ["postgresql"], ("postgresql", "postgresql.service", "postgresql@*"), "postgres"

    usual, always = 5432, ["local"]

    def __init__(self):
        self.version = self.name = self.port = self.data = None

    def find(self):
        """The one cluster there is. Whether it runs is asked anew each time."""
        lines = [line.split() for line in output("pg_lsclusters", "-h").splitlines()] if shutil.which("pg_lsclusters") else []
        if len(lines) > 1:
            fail("this server has %d PostgreSQL clusters (%s); ServerPlane works with one" % (len(lines), ", ".join("/".join(l[:2]) for l in lines)))
        if not lines:
            return False
        self.version, self.name, self.port, self.data = lines[0][0], lines[0][1], int(lines[0][2]), lines[0][5]
        self.folder = "/etc/postgresql/%s/%s" % (self.version, self.name)
        self.unit = "postgresql@%s-%s.service" % (self.version, self.name)
        self.conf, self.access = self.folder + "/conf.d/serverplane.conf", self.folder + "/pg_hba.conf"
        return True

    def create(self):
        run("pg_createcluster", sorted(os.listdir("/usr/lib/postgresql"), key=int)[-1], "main")
        return self.find()

    def running(self):
        return active(self.unit)

    def untouched(self):
        """Nobody made a database here: their numbers begin at 16384."""
        return not any(n.isdigit() and int(n) >= 16384 for n in os.listdir(self.data + "/base"))

    def sql(self, text, database="postgres", check=True):
        done = run("runuser", "-u", "postgres", "--", "psql", "-XqAt", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-p", str(self.port), "-d", database,
                   input=text, check=False, cwd="/")
        if check and done.returncode != 0:
            fail("PostgreSQL refuses: " + complaint(done.stderr), done.stderr)
        return done.stdout.strip() if check else done

    def roles(self):
        return set(self.sql("SELECT rolname FROM pg_roles UNION SELECT datname FROM pg_database").split("\n"))

    def is_open(self, private):
        return bool(set(self.listens()) & {"*", "0.0.0.0", "::", private})

    def has_tls(self):
        return self.sql("SHOW ssl") == "on"

    def reload(self):
        """Returns when it is in force: the reload itself only signals, and who connects before that is judged by the old files."""
        before = self.sql("SELECT pg_conf_load_time()")
        run("systemctl", "reload", self.unit)
        for _ in range(50):
            if self.sql("SELECT pg_conf_load_time()") != before:
                return
            time.sleep(0.1)

    def holds(self, role):
        """Whether there is such a database; one that was being dropped when the engine stopped is none."""
        return self.sql("SELECT count(*) FROM pg_database WHERE datname = '%s' AND datconnlimit <> -2" % role) == "1"

    def sessions(self, role):
        """Number and address of each of a role's sessions."""
        text = self.sql("SELECT pid, coalesce(host(client_addr), 'local') FROM pg_stat_activity WHERE usename = '%s'" % role)
        return [tuple(line.split("\t")) for line in text.splitlines()]

    def end(self, number):
        self.sql("SELECT count(pg_terminate_backend(%d)) \\g /dev/null" % int(number), check=False)

    def reopen(self, role):
        """Somebody closed it, or a restore was cut off that had: nobody could connect any more."""
        if self.sql("SELECT count(*) FROM pg_database WHERE datname = '%s' AND NOT datallowconn" % role) == "1":
            self.sql("ALTER DATABASE %s WITH ALLOW_CONNECTIONS true" % role)
            changed("opened %s, which let nobody in" % role)

    def listens(self):
        return [a.strip() for a in self.sql("SHOW listen_addresses").split(",") if a.strip()]

    def facts(self):
        limit, reserved, version = self.sql("SELECT current_setting('max_connections'), current_setting('superuser_reserved_connections')::int"
            " + coalesce(current_setting('reserved_connections', true)::int, 0), current_setting('server_version')").split("\t")
        return {"port": self.port, "version": version.split()[0], "max_connections": int(limit), "reserved": int(reserved)}

    def prepare_files(self):
        text = (read(self.folder + "/postgresql.conf") or b"").decode("utf-8", "replace")
        if not re.search(r"^\s*include_dir\s*=?\s*'conf\.d'", text, re.M):
            fail("%s/postgresql.conf does not include conf.d; put include_dir = 'conf.d' at its end" % self.folder)
        folder(self.folder + "/conf.d", 0o755, *owner("postgres"))

    def errors(self):
        """What the engine cannot read of its files: one bad line and it ignores a whole file, while it says that all is well."""
        return self.sql("SELECT 'pg_hba.conf line ' || line_number || ': ' || error FROM pg_hba_file_rules WHERE error IS NOT NULL"
                        " UNION ALL SELECT sourcefile || ' line ' || sourceline || ': ' || error FROM pg_file_settings WHERE error IS NOT NULL"
                        " AND error <> 'setting could not be applied'")


class MariaDB:
    title, packages, units, secret_owner = "MariaDB", ["mariadb-server"], ("mariadb", "mariadb.service", "mysql"), "mysql"
    usual = port = 3306
    always = ["local", "127.0.0.1", "::1"]  # the account at localhost may come by either
    unit, data, conf = "mariadb.service", "/var/lib/mysql", "/etc/mysql/mariadb.conf.d/99-serverplane.cnf"
    own = {"mysql", "sys", "performance_schema", "lost+found", "#rocksdb"}

    def find(self):
        if not os.path.exists("/usr/sbin/mariadbd"):
            return False
        found = re.search(r"Ver (\d+)\.(\d+)", output("/usr/sbin/mariadbd", "--version"))
        if not found or (int(found.group(1)), int(found.group(2))) < (10, 11):
            fail("MariaDB here is older than 10.11, which cannot listen on two addresses")
        return True

    def create(self):
        return self.find()

    def running(self):
        return active(self.unit)

    def untouched(self):
        return not any(os.path.isdir(os.path.join(self.data, n)) and n not in self.own for n in os.listdir(self.data))

    def sql(self, text, database="mysql", check=True):
        done = run("mariadb", "--batch", "--skip-column-names", "--protocol=socket", "-u", "root", database, input=text, check=False, cwd="/")
        if check and done.returncode != 0:
            fail("MariaDB refuses: " + complaint(done.stderr), done.stderr)
        return done.stdout.strip() if check else done

    def roles(self):
        return set(self.sql("SELECT User FROM mysql.user UNION SELECT SCHEMA_NAME FROM information_schema.SCHEMATA").split("\n"))

    def is_open(self, private):
        listen = {a.strip() for a in self.sql("SELECT @@bind_address").split(",")}
        return bool(listen & {"*", "0.0.0.0", "::", "NULL", "", private})

    def listens(self):
        return [a.strip() for a in self.sql("SELECT @@bind_address").split(",") if a.strip() not in ("", "NULL")]

    def reopen(self, role):
        """Nothing closes one here."""

    def holds(self, role):
        return self.sql("SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = '%s'" % role) == "1"

    def sessions(self, role):
        """Number and address of each of a role's sessions."""
        text = self.sql("SELECT ID, HOST FROM information_schema.PROCESSLIST WHERE USER = '%s'" % role)
        return [(line.split("\t")[0], self.peer(line.split("\t")[1])) for line in text.splitlines()]

    def peer(self, host):
        """Where a session comes from. An engine that looks names up tells a name and a port: then the socket has the address."""
        name, colon, port = host.rpartition(":")
        if not colon:
            return "local"
        try:
            return str(ipaddress.ip_address(name))
        except ValueError:
            peers = [line.split()[4].rpartition(":") for line in output("ss", "-tnH", "sport = :%d" % self.facts()["port"]).splitlines()]
            found = {plain_address(a) for a, _, p in peers if p == port}
            return found.pop() if len(found) == 1 else name

    def end(self, number):
        self.sql("KILL CONNECTION %d" % int(number), check=False)

    def has_tls(self):
        return self.sql("SELECT @@have_ssl") == "YES"

    def reload(self):
        if self.has_tls():
            self.sql("FLUSH SSL")
        if SPEC["max_connections"]:
            self.sql("SET GLOBAL max_connections = %d" % SPEC["max_connections"])

    def facts(self):
        limit, version, port = self.sql("SELECT @@max_connections, @@version, @@port").split("\t")
        return {"port": int(port), "version": version.split("-")[0], "max_connections": int(limit), "reserved": 0}

    def prepare_files(self):
        if not os.path.isdir(os.path.dirname(self.conf)):
            fail("%s is missing: is this Debian's MariaDB?" % os.path.dirname(self.conf))

    def errors(self):
        return ""


def owner(name):
    user = pwd.getpwnam(name)
    return user.pw_uid, user.pw_gid


def engine_of():
    return {"postgresql": PostgreSQL, "mariadb": MariaDB}[SPEC["engine"]]()


def check_role(role):
    if not ROLE_RULE.fullmatch(role):
        fail("%r is not a role of ServerPlane's" % role)
    return role
