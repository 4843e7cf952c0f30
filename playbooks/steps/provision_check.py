"""Is this server already as this very version wants it? SPEC: stamp, panel, adopt."""

PANEL = "/etc/serverplane/panel"
owner = (read(PANEL) or b"").decode("utf-8", "replace").strip()
if owner and owner != SPEC["panel"] and not SPEC["adopt"]:
    fail("this server belongs to another panel (%s); adopt it to take it over" % owner)
stamp = (read(STATE + "/provision.stamp") or b"").decode("utf-8", "replace").strip()
if stamp == SPEC["stamp"] and os.path.exists("/usr/local/lib/serverplane/guard") and not missing_packages(["nginx", "ufw", "rsync"]):
    say("up to date")
