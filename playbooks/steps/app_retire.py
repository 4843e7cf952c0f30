"""Leaves one slot: the live one at boot, the other stopped, old releases gone. SPEC: app, slot (the live one), keep (release ids)."""


def served(path):
    return any(properties(unit_of(s), "WorkingDirectory").get("WorkingDirectory", "").startswith(path)
               for s in "ab" if s == SPEC["slot"] or active(unit_of(s)))


def live_release():
    folder = properties(unit_of(SPEC["slot"]), "WorkingDirectory").get("WorkingDirectory", "")
    return folder[len(HOME + "/releases/"):].split("/")[0]


def prune():
    """Only what bears a release id and is neither kept nor served. What is newer than the live one stays: the step of a Run that
    was lost goes on by itself, and the next Run may be building it by now."""
    live = live_release()
    for name in sorted(os.listdir(HOME + "/releases")):
        if not RELEASE_RULE.fullmatch(name) or name in SPEC["keep"] or name > live:
            continue
        path = release_folder(name)
        if served(path) or works_in(path):
            continue
        if contained() and remove_image(name):
            changed("removed image " + image_of(name))
        with contextlib.suppress(FileNotFoundError):
            os.unlink(complete_marker(name))
        shutil.rmtree(path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(HOME + "/logs/build-" + name + ".log")
        changed("removed release " + name)


def close_logs():
    """What the entry logs holds visitors' addresses. A server that an older panel provisioned makes such a file for everybody to read."""
    for name in os.listdir(LOGS) if os.path.isdir(LOGS) else ():
        if not LOG_RULE.fullmatch(name):
            continue
        opened = os.open(LOGS + "/" + name, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            mode = os.fstat(opened).st_mode & 0o7777
            if mode & 0o027:
                os.fchmod(opened, mode & ~0o027)
                changed("%s/%s is no longer for everybody to read" % (LOGS, name))
        finally:
            os.close(opened)


def close_doors():
    """Takes away what led containers to a database that the app has no more. What the live slot's script keeps counts: the other one is stopped."""
    kept = (read("%s/%s/network" % (CONFIG, SPEC["slot"])) or b"").decode("utf-8", "replace")
    doors = set(re.findall(r"^keep nat PREROUTING .* -d ([0-9.]+/32) .*--dport ([0-9]+) ", kept, re.M))
    for table, words in list(container_rules()):
        if "--dport" not in words:
            continue
        port, address = words[words.index("--dport") + 1], words[words.index("-d") + 1]
        open_still = (address, port) in doors if words[0] == "PREROUTING" else port in {p for _, p in doors}
        if not open_still:
            run("iptables", "-w", "10", "-t", table, "-D", *words)
            changed("closed %s to containers" % port)


def main():
    live, old = unit_of(SPEC["slot"]), unit_of("b" if SPEC["slot"] == "a" else "a")
    if not active(live):
        fail("%s, which should be live, does not run; the other slot is left alone" % live)
    for verb, unit in (("enable", live), ("disable", old)):
        if os.path.exists("/etc/systemd/system/" + unit):
            run("systemctl", verb, unit)
    if active(old) or properties(old, "ActiveState").get("ActiveState") == "activating":
        run("systemctl", "stop", old)
        changed("stopped " + old)
    close_logs()
    if contained():
        close_doors()
    prune()


main()
