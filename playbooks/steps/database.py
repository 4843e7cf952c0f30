"""What the steps about databases share; put between server.py and the step. SPEC: engine, and what each step names."""

import contextlib

ROLE_RULE = re.compile(r"sp2?_[a-z][a-z0-9_]{0,23}")
FOLDER = "/etc/serverplane/database"


def say_fact(facts):
    """The panel reads this line: runner/database.go."""
    say("learned: " + json.dumps(facts))


@contextlib.contextmanager
def database_lock():
    os.makedirs(RUNTIME, mode=0o755, exist_ok=True)
    with open(RUNTIME + "/database.lock", "w") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


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
    lines = [l for l in text.splitlines() if re.search("ERROR|FATAL", l)]
    return lines[0] if lines else last_lines(text, 1)


def port_holder(port):
    """Who listens on a port, in words, or nobody."""
    for line in output("ss", "-ltnpH", "sport = :%d" % port).splitlines():
        found = re.search(r'\(\("([^"]+)",pid=(\d+)', line)
        return "%s (pid %s)" % found.groups() if found else "a program"
    return None


class PostgreSQL:
    title, packages, units, secret_owner = "PostgreSQL", ["postgresql"], ("postgresql", "postgresql.service", "postgresql@*"), "postgres"

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
                   stdin=None, input=text, check=False, cwd="/")
        if check and done.returncode != 0:
            fail("PostgreSQL refuses: " + complaint(done.stderr), done.stderr)
        return done.stdout.strip() if check else done

    def roles(self):
        return set(self.sql("SELECT rolname FROM pg_roles UNION SELECT datname FROM pg_database").split("\n"))

    def is_open(self, private):
        listen = {a.strip() for a in self.sql("SHOW listen_addresses").split(",")}
        return bool(listen & {"*", "0.0.0.0", "::", private})

    def has_tls(self):
        return self.sql("SHOW ssl") == "on"

    def reload(self):
        run("systemctl", "reload", self.unit)

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
    unit, port, data, conf = "mariadb.service", 3306, "/var/lib/mysql", "/etc/mysql/mariadb.conf.d/99-serverplane.cnf"
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
        done = run("mariadb", "--batch", "--skip-column-names", "--protocol=socket", "-u", "root", database, stdin=None, input=text, check=False, cwd="/")
        if check and done.returncode != 0:
            fail("MariaDB refuses: " + complaint(done.stderr), done.stderr)
        return done.stdout.strip() if check else done

    def roles(self):
        return set(self.sql("SELECT User FROM mysql.user UNION SELECT SCHEMA_NAME FROM information_schema.SCHEMATA").split("\n"))

    def is_open(self, private):
        listen = {a.strip() for a in self.sql("SELECT @@bind_address").split(",")}
        return bool(listen & {"*", "0.0.0.0", "::", "NULL", "", private})

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
