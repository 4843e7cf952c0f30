"""Brings the firewall to what was chosen when the server was added, and arms a way back.

SPEC: firewall (manage, keep-open, leave), ssh_port (what the server itself sees), keep_open ([{proto, port, address}]).
"""

import ipaddress

RESCUE = "sp-ufw-rescue"
ARMED = "/run/serverplane-ufw-armed"


def ssh_ports():
    """Also the ports sshd really listens on: behind a port translation the panel knows another one."""
    ports = {int(SPEC["ssh_port"])}
    for line in output("ss", "-ltnpH").splitlines():
        if '"sshd"' in line:
            ports.add(int(line.split()[3].rsplit(":", 1)[1]))
    listens = output("systemctl", "show", "ssh.socket", "-p", "Listen") if active("ssh.socket") else ""
    ports.update(int(p) for p in re.findall(r":(\d+) \(Stream\)", listens))
    return sorted(ports)


def mentions(rule, port):
    words = ufw_words(rule)
    names = {str(port), "%d/tcp" % port}
    if port == 22:
        names |= {"OpenSSH", "ssh", "SSH"}
    return words[0] in ("allow", "limit") and (names & set(words)) != set()


def keep_open(sockets):
    for s in sockets:
        address = ipaddress.ip_address(s["address"])
        if address.is_loopback:
            continue
        if address.is_unspecified:
            ufw_allow("allow %d/%s" % (s["port"], s["proto"]), "serverplane keep-open")
        else:
            ufw_allow("allow to %s port %d proto %s" % (address, s["port"], s["proto"]), "serverplane keep-open")


def arm():
    run("systemctl", "stop", RESCUE + ".timer", check=False)
    run("systemctl", "reset-failed", RESCUE + ".service", check=False)
    run("systemd-run", "--on-active=60", "--timer-property=AccuracySec=1s", "--unit=" + RESCUE, "--collect", shutil.which("ufw"), "--force", "disable")
    with open("/proc/uptime") as uptime:
        write(ARMED, uptime.read().split()[0] + "\n", 0o600, quiet=True)


def allow_ssh():
    was_active, rules = ufw_active(), ufw_added()
    for port in ssh_ports():
        if not any(mentions(r, port) for r in rules):
            ufw_allow("allow %d/tcp" % port, "serverplane ssh")
    return was_active


def main():
    if SPEC["firewall"] == "leave":
        say("the firewall is left as it is")
        return
    if active("firewalld.service"):
        fail("firewalld is active here: only the choice \"leave\" is possible")
    was_active = allow_ssh()
    if was_active:
        say("ufw was active already: its own rules are kept")
        return
    if SPEC["firewall"] == "keep-open":
        keep_open(SPEC["keep_open"])
    ufw("default", "deny", "incoming")
    arm()
    ufw("--force", "enable")
    changed("firewall is on; it goes off again in 60 s unless a new SSH connection comes through")


main()
