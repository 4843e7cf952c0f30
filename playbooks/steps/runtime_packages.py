"""Debian packages of a kind's runtime. SPEC: packages. Services they start by themselves are stopped where they came just now:
an app has its own processes."""

OWN_SERVICES = re.compile(r"php[0-9.]+-fpm\.service")


def main():
    missing = install(SPEC["packages"])
    if not missing:
        say("the runtime is here: " + " ".join(SPEC["packages"]))
        return
    for line in output("systemctl", "list-unit-files", "--state=enabled", "--no-legend", "--plain", "php*-fpm.service").splitlines():
        unit = line.split()[0]
        if OWN_SERVICES.fullmatch(unit) and any(name.startswith("php") and name.endswith("-fpm") for name in missing):
            run("systemctl", "disable", "--now", "--quiet", unit)
            changed("stopped %s, which nothing uses" % unit)


main()
