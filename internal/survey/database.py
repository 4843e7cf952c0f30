"""Asks a database engine what it is at this moment and prints it as JSON; changes nothing. Run as root, in one argument what to ask
for: engine, port, database, roles. What cannot be had ends it with a reason on standard error.
"""

import json
import re
import subprocess
import sys

LIMIT = 5  # seconds for one question
ROLE_RULE = re.compile(r"[a-z][a-z0-9_]{1,40}")


def fail(reason):
    sys.stderr.write(reason.strip().replace("\n", "; ") + "\n")
    sys.exit(1)


def ask(*command, text):
    try:
        done = subprocess.run(command, input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace", cwd="/", timeout=LIMIT + 1)
    except FileNotFoundError:
        fail("there is no %s here" % command[0])
    except subprocess.TimeoutExpired:
        fail("the engine did not answer within %d s" % (LIMIT + 1))
    if done.returncode != 0:
        lines = [l for l in done.stderr.splitlines() if re.search("ERROR|FATAL|error", l)] or done.stderr.splitlines() or ["exit status %d" % done.returncode]
        fail("the engine refuses: " + lines[0])
    return [line.split("\t") for line in done.stdout.splitlines()]


def listening(port):
    """Addresses as the kernel has them: what a configuration says may not be in force yet."""
    lines = subprocess.run(["ss", "-ltnH", "sport = :%d" % port], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.splitlines()
    return sorted({line.split()[3] for line in lines if len(line.split()) > 3})


def quoted(words):
    return ", ".join("'%s'" % w for w in words)


def postgresql(want):
    rows = ask("runuser", "-u", "postgres", "--", "env", "PGOPTIONS=-c statement_timeout=%ds" % LIMIT, "PGCONNECT_TIMEOUT=%d" % LIMIT,
               "psql", "-XqAt", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-p", str(want["port"]), "-d", "postgres", text="""
SELECT 'engine', current_setting('server_version'), current_setting('max_connections'), current_setting('superuser_reserved_connections')::int
  + coalesce(current_setting('reserved_connections', true)::int, 0), (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend');
SELECT 'size', pg_database_size('%s');
SELECT 'from', coalesce(host(client_addr), 'localhost'), count(*), count(*) FILTER (WHERE ssl)
  FROM pg_stat_activity LEFT JOIN pg_stat_ssl USING (pid) WHERE datname = '%s' AND usename IN (%s) GROUP BY client_addr;
""" % (want["database"], want["database"], quoted(want["roles"])))
    engine = next(r for r in rows if r[0] == "engine")
    found = [(r[1], int(r[2]), int(r[3])) for r in rows if r[0] == "from"]
    return {
        "version": engine[1].split()[0], "limit": int(engine[2]), "reserved": int(engine[3]), "used": int(engine[4]),
        "bytes": int(next(r for r in rows if r[0] == "size")[1]), "connections": addresses([f[:2] for f in found]),
        "encrypted": {"sessions": sum(f[1] for f in found), "tls": sum(f[2] for f in found)},
    }


def mariadb(want):
    rows = ask("mariadb", "--no-defaults", "--batch", "--skip-column-names", "--protocol=socket", "-u", "root", "--connect-timeout=%d" % LIMIT, text="""
SET SESSION max_statement_time = %d;
SELECT 'engine', @@version, @@max_connections, (SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'THREADS_CONNECTED'), @@userstat;
SELECT 'schema', count(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = '%s';
SELECT 'size', coalesce(sum(DATA_LENGTH + INDEX_LENGTH), 0) FROM information_schema.TABLES WHERE TABLE_SCHEMA = '%s';
SELECT 'from', HOST FROM information_schema.PROCESSLIST WHERE USER IN (%s);
SELECT 'tls', coalesce(sum(TOTAL_CONNECTIONS), 0), coalesce(sum(TOTAL_SSL_CONNECTIONS), 0) FROM information_schema.USER_STATISTICS WHERE USER IN (%s);
""" % (LIMIT, want["database"], want["database"], quoted(want["roles"]), quoted(want["roles"])))
    one = lambda name: next(r for r in rows if r[0] == name)
    if int(one("schema")[1]) == 0:
        fail("there is no database %s in it" % want["database"])
    engine, total, tls = one("engine"), int(one("tls")[1]), int(one("tls")[2])
    encrypted = {"sessions": total, "tls": tls, "past": True}
    if engine[4] != "1":
        encrypted["reason"] = "MariaDB counts sessions by encryption only with userstat = 1, which this one, older than ServerPlane's part in it, has not"
    hosts = [r[1].rsplit(":", 1)[0] for r in rows if r[0] == "from"]
    return {
        "version": engine[1].split("-")[0], "limit": int(engine[2]), "reserved": 0, "used": int(engine[3]), "bytes": int(float(one("size")[1])),
        "connections": addresses([(h, 1) for h in hosts]), "encrypted": encrypted,
    }


def addresses(found):
    counted = {}
    for address, count in found:
        address = "127.0.0.1" if address == "localhost" else address
        counted[address] = counted.get(address, 0) + count
    return [{"address": a, "used": n} for a, n in sorted(counted.items())]


def main():
    want = json.loads(sys.argv[1])
    for name in [want["database"]] + want["roles"]:
        if not ROLE_RULE.fullmatch(name):
            fail("%r is not a name of ServerPlane's" % name)
    facts = {"postgresql": postgresql, "mariadb": mariadb}[want["engine"]](want)
    facts["listening"] = listening(int(want["port"]))
    print(json.dumps(facts))


main()
