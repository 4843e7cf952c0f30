"""Brings one database engine to the whole of what the panel wants of it: installed, listening, its roles, who may connect.

SPEC: engine, generation (an older one than was in force last changes nothing), private (address), open (listen there), restart (a
person agreed to one), max_connections (0: as it is), certificate, key, ca, conf {as_is, open, fresh}, access (our lines of pg_hba.conf),
databases ([{id, role, second (its other login, or empty), sql, addresses}]), gone ([{id, role, second, shut, sql, must}]), rules ([{from, to}]),
firewall (false: it is left).
Prints "learned: {...}": what the engine is now.

Who may no longer connect first loses the right to, then the sessions there are: in the other order a client that tries at once is back.
"""

import difflib

RECORD = STATE + "/databases-%s.json" % SPEC["engine"]
BEGIN, END = "# serverplane begin: what stands between these two lines is replaced", "# serverplane end"
ENGINE = engine_of()


def record():
    return json.loads(read(RECORD) or b'{"generation": 0, "roles": {}}')


def keep(kept):
    write(RECORD, json.dumps(kept, indent=2) + "\n", 0o600, quiet=True)


def refuse_taken_port():
    """Looks before anything is changed: an engine that is to be started needs its port."""
    there = ENGINE.find()
    if there and ENGINE.running():
        return
    port = ENGINE.port if there else ENGINE.usual
    holder = port_holder(port)
    if holder:
        fail("engine: port %d is taken by %s, so %s cannot listen there; nothing was changed: stop it or give it another port, and ask again"
             % (port, holder, ENGINE.title))


def install_engine():
    """Whether the engine is ours to configure before its first start."""
    with held_back(*ENGINE.units):
        install(ENGINE.packages)
    if not (ENGINE.find() or ENGINE.create()):
        fail("%s was installed, but there is nothing of it here to work with" % ENGINE.title)
    if ENGINE.running():
        return False
    if not ENGINE.untouched():
        fail("%s is installed here but not running, and it holds databases; look why (journalctl -u %s) and start it: systemctl start %s"
             % (ENGINE.title, ENGINE.unit, ENGINE.unit))
    return True


def certificate():
    """The key is readable for the engine alone; the folder is root's."""
    folder(FOLDER)
    user, group = owner(ENGINE.secret_owner)
    base = "%s/%s" % (FOLDER, SPEC["engine"])
    texts = [(FOLDER + "/ca.crt", SPEC["ca"], 0o644, 0, 0), (base + ".crt", SPEC["certificate"], 0o644, 0, 0), (base + ".key", SPEC["key"], 0o600, user, group)]
    return any([write(path, text, mode, uid, gid) for path, text, mode, uid, gid in texts])


def start():
    run("systemctl", "enable", "--quiet", "postgresql.service" if ENGINE.title == "PostgreSQL" else ENGINE.unit)
    if run("systemctl", "start", ENGINE.unit, check=False).returncode != 0:
        fail("%s does not start" % ENGINE.title, output("journalctl", "-u", ENGINE.unit, "-n", "20", "-o", "cat", "--no-pager"))
    changed("%s runs, listening on 127.0.0.1 and %s" % (ENGINE.title, SPEC["private"]))


def choose_conf(kept):
    """Which of our files it should have, and what it cannot change without a restart."""
    ours = (read(ENGINE.conf) or b"").decode()
    listens = re.search(r"^(listen_addresses|bind_address)", ours, re.M)
    fresh = "\nskip_name_resolve\n" in ours
    reasons, text = [], SPEC["conf"]["as_is"]
    if fresh:
        text = SPEC["conf"]["fresh"]
    elif listens:
        text = SPEC["conf"]["open"]
    elif SPEC["open"] and not ENGINE.is_open(SPEC["private"]):
        text = SPEC["conf"]["open"]
        kept["listen"] = ENGINE.listens()
        reasons.append("it does not listen on %s" % SPEC["private"])
    if SPEC["open"] and listens and not ENGINE.is_open(SPEC["private"]):
        reasons.append("it does not listen on %s yet" % SPEC["private"])
    if ENGINE.title == "MariaDB" and SPEC["open"] and not ENGINE.has_tls():
        reasons.append("it offers no TLS")
    return listening(text, kept), reasons + limit_reasons(reasons)


def listening(text, kept):
    """An engine that was there before goes on listening where it did; ours is added."""
    theirs = [a for a in kept.get("listen") or [] if re.fullmatch(r"[A-Za-z0-9_.:-]+", a)]
    missing = [a for a in ("127.0.0.1", SPEC["private"]) if a not in theirs and not (a == "127.0.0.1" and "localhost" in theirs)]
    quote = "'" if ENGINE.title == "PostgreSQL" else ""
    return re.sub(r"^(listen_addresses|bind_address) = .*$", lambda m: "%s = %s%s%s" % (m.group(1), quote, ",".join(theirs + missing), quote), text, flags=re.M)


def limit_reasons(reasons):
    """Another limit is worth a restart to who asked for it; nobody else's change waits for that."""
    now = ENGINE.facts()["max_connections"]
    if ENGINE.title != "PostgreSQL" or SPEC["max_connections"] in (0, now):
        return []
    if not (SPEC["restart"] or reasons or ENGINE.untouched()):
        say("PostgreSQL takes %d connections until it is restarted, then %d" % (now, SPEC["max_connections"]))
        return []
    return ["it takes %d connections, not %d" % (now, SPEC["max_connections"])]


def configure(kept):
    if ENGINE.errors():
        fail("%s has lines it cannot read, and ignores whole files for them; put them right first: %s" % (ENGINE.title, ENGINE.errors().split("\n")[0]), ENGINE.errors())
    before, (text, reasons) = read(ENGINE.conf), choose_conf(kept)
    others = not ENGINE.untouched()
    if reasons and others and not SPEC["restart"]:
        fail("%s must be restarted once, which cuts all its connections for about a second: %s" % (ENGINE.title, "; ".join(reasons)))
    ENGINE.prepare_files()
    keep(kept)
    touched = [certificate(), write(ENGINE.conf, text)]
    if reasons:
        restart(reasons, before)
    elif any(touched):
        ENGINE.reload()
    if ENGINE.errors():
        os.unlink(ENGINE.conf) if before is None else write(ENGINE.conf, before)
        ENGINE.reload()
        fail("%s does not accept our file, which was taken back: %s" % (ENGINE.title, ENGINE.errors()))


def restart(reasons, before):
    begun = time.monotonic()
    if run("systemctl", "restart", ENGINE.unit, check=False).returncode != 0:
        os.unlink(ENGINE.conf) if before is None else write(ENGINE.conf, before)
        run("systemctl", "restart", ENGINE.unit, check=False)
        fail("%s did not start with our file, which was taken back" % ENGINE.title, output("journalctl", "-u", ENGINE.unit, "-n", "20", "-o", "cat", "--no-pager"))
    changed("%s was restarted in %.1f s, since %s" % (ENGINE.title, time.monotonic() - begun, "; ".join(reasons)))


def refuse_foreign(known):
    """A role or a database of that name which ServerPlane did not make is somebody else's."""
    there = ENGINE.roles()
    for d in SPEC["databases"]:
        for name in names_of(d):
            if name in there and known.get(name) != d["id"]:
                fail("%s has a role or a database %s already, which is not ServerPlane's; choose another name" % (ENGINE.title, name))


def names_of(d):
    return [check_role(name) for name in (d["role"], d.get("second")) if name]


def make_roles(kept):
    for d in SPEC["databases"]:
        new = {name: d["id"] for name in names_of(d) if name not in kept["roles"]}
        if new:
            kept["roles"].update(new)
            keep(kept)
        ENGINE.sql(d["sql"])
        ENGINE.reopen(d["role"])
        tell_half_restored(d["role"])


def end_foreign_sessions(shut):
    """Who was at signing in when the right went is seen a moment later."""
    logins = [(name, d["addresses"] + ENGINE.always) for d in SPEC["databases"] for name in names_of(d)]
    if sum(end_sessions(ENGINE, name, allowed) for name, allowed in logins) or shut:
        time.sleep(1)
        for name, allowed in logins:
            end_sessions(ENGINE, name, allowed)


def take_away(kept):
    for d in SPEC["gone"]:
        if kept["roles"].get(check_role(d["role"])) != d["id"]:
            continue
        try:
            ENGINE.sql(d["shut"])
            for name in names_of(d):
                end_sessions(ENGINE, name, [])
            ENGINE.sql(d["sql"])
        except SystemExit:
            if d["must"]:
                raise
            say("warning: %s could not be removed yet; the Run that is to do it tells why" % d["role"])
            continue
        for name in names_of(d):
            kept["roles"].pop(name, None)
        keep(kept)
        forget_half_restored(d["role"])
        changed("removed the database and the role " + d["role"])


def our_lines(text):
    """Where our lines begin and end, or None where there are none. Markers that somebody damaged are not guessed at."""
    lines = text.split("\n")
    begins = [i for i, l in enumerate(lines) if l.startswith("# serverplane begin")]
    ends = [i for i, l in enumerate(lines) if l.startswith("# serverplane end")]
    if not begins and not ends:
        return None
    if len(begins) == len(ends) == 1 and begins[0] < ends[0]:
        return begins[0], ends[0]
    wanted = "\n".join([BEGIN] + SPEC["access"].splitlines() + [END])
    found = "\n".join(lines[min(begins + ends):max(begins + ends) + 1])
    diff = "\n".join(difflib.unified_diff(found.split("\n"), wanted.split("\n"), "pg_hba.conf as it is", "what ServerPlane would write", lineterm=""))
    fail("the lines that mark ServerPlane's part of %s are damaged (%d begin, %d end); nothing was changed: put them right, or delete the part"
         % (ENGINE.access, len(begins), len(ends)), diff)


def check_markers():
    if ENGINE.title == "PostgreSQL":
        our_lines((read(ENGINE.access) or b"").decode("utf-8", "surrogateescape"))


def let_in():
    """Our part stands first: the first line that fits decides. Says whether anything changed."""
    if ENGINE.title != "PostgreSQL":
        return False
    before = read(ENGINE.access) or b""
    lines = before.decode("utf-8", "surrogateescape").split("\n")
    place = our_lines("\n".join(lines))
    part = [BEGIN] + SPEC["access"].splitlines() + [END]
    lines = part + lines if place is None else lines[:place[0]] + part + lines[place[1] + 1:]
    now = os.stat(ENGINE.access)
    put = lambda data: write(ENGINE.access, data, now.st_mode & 0o7777, now.st_uid, now.st_gid)
    if not put("\n".join(lines).encode("utf-8", "surrogateescape")):
        return False
    if ENGINE.errors():
        said = ENGINE.errors()
        put(before)
        fail("PostgreSQL does not accept pg_hba.conf with our lines, which were taken back: " + said.split("\n")[0], said)
    ENGINE.reload()
    return True


def open_firewall(kept):
    """Our rules for this engine's port become exactly the wanted ones; those of another engine stay. It may listen on another port
    than is usual, or than it did."""
    port = ENGINE.facts()["port"]
    former, kept["port"] = kept.get("port", port), port
    if not SPEC["firewall"] or not shutil.which("ufw") or not ufw_active():
        say("the firewall is not ServerPlane's here, or not active: no rule was changed")
        return
    wanted = [rule_text(dict(r, ports=[port])) for r in SPEC["rules"]]
    for text in wanted:
        ufw_allow(text, "serverplane db")
    for rule in ufw_added():
        text = without_comment(rule)
        ours = rule.endswith(" comment 'serverplane db'") and any(" port %d " % p in text for p in (port, former, ENGINE.usual))
        if ours and text not in wanted:
            ufw("--force", "delete", *ufw_words(rule))
            changed("firewall: deleted " + text)


def learn():
    facts = dict(ENGINE.facts(), open=ENGINE.is_open(SPEC["private"]), tls=ENGINE.has_tls())
    say_fact(facts)


def main():
    kept = record()
    if kept["generation"] > SPEC["generation"]:
        say("a newer state is in force here already")
        ENGINE.find()
        learn()
        return
    refuse_taken_port()
    if install_engine():
        ENGINE.prepare_files()
        certificate()
        write(ENGINE.conf, SPEC["conf"]["fresh"])
        start()
    else:
        check_markers()
        refuse_foreign(kept["roles"])
        configure(kept)
    refuse_foreign(kept["roles"])
    make_roles(kept)
    shut = let_in()
    open_firewall(kept)
    end_foreign_sessions(shut)
    take_away(kept)
    kept["generation"] = SPEC["generation"]
    keep(kept)
    learn()


with database_lock():
    main()
