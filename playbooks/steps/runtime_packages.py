"""Debian packages of a kind's runtime. SPEC: packages, version (empty: Debian's own), choice (package that each version has of its own, with %s for
the version), name (of the runtime, for a person). Services they start by themselves are stopped where they came just now: an app has its own processes."""

OWN_SERVICES = re.compile(r"php[0-9.]+-fpm\.service")


def to_be_had(names):
    """Those of the packages that the sources of this server have."""
    found, name = [], ""
    for line in output("apt-cache", "policy", *names).splitlines() if names else ():
        if line.endswith(":") and not line.startswith(" "):
            name = line[:-1]
        elif line.strip().startswith("Candidate:") and not line.endswith("(none)"):
            found.append(name)
    return found


def provided(name):
    """Whether packages of other names offer it, as PHP's opcache does."""
    return bool(output("apt-cache", "showpkg", name).partition("Reverse Provides:")[2].strip())


def versions():
    """The versions of the runtime that the sources of this server have, the oldest first."""
    before, after = SPEC["choice"].split("%s")
    rule = re.compile(re.escape(before) + r"([0-9]+(?:\.[0-9]+)+)" + re.escape(after))
    names = [n for n in output("apt-cache", "pkgnames", before).splitlines() if rule.fullmatch(n)]
    found = {rule.fullmatch(n)[1] for n in to_be_had(names)}
    return sorted(found, key=lambda v: [int(n) for n in v.split(".")])


def refuse_unknown(missing):
    """apt's own words for this name neither what may be chosen nor who asked for it."""
    have = to_be_had(missing)
    unknown = [n for n in missing if n not in have and not provided(n)]
    if not unknown:
        return
    name, version = SPEC["name"], SPEC["version"]
    if version and SPEC["choice"].replace("%s", version) in unknown:
        others = versions()
        fail("%s %s is not to be had here: this server's package sources have %s; choose that by --option version=, or give each server of the app a source that has %s"
             % (name, version, " and ".join(name + " " + v for v in others) or "no " + name, version))
    fail("this server's package sources do not have %s, which the app's options ask for" % ", ".join(unknown))


def main():
    missing = missing_packages(SPEC["packages"])
    if not missing:
        say("the runtime is here: " + " ".join(SPEC["packages"]))
        return
    refresh_packages()
    refuse_unknown(missing)
    install(missing, refreshed=True)
    for line in output("systemctl", "list-unit-files", "--state=enabled", "--no-legend", "--plain", "php*-fpm.service").splitlines():
        unit = line.split()[0]
        if OWN_SERVICES.fullmatch(unit) and any(name.startswith("php") and name.endswith("-fpm") for name in missing):
            run("systemctl", "disable", "--now", "--quiet", unit)
            changed("stopped %s, which nothing uses" % unit)


main()
