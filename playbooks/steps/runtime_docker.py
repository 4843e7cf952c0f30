"""Docker from Debian, installed with the first app of the kind. SPEC: packages."""


def main():
    if not install(SPEC["packages"]):
        say("Docker is here")
    if not shutil.which("docker"):  # from Debian 13 on, the command is a package of its own
        install(["docker-cli"])
    run("systemctl", "enable", "--now", "--quiet", "docker.service")


main()
