"""Tests what look.py makes of other programs' output. Run by go test with the path of look.py."""
import subprocess
import sys
import tempfile
import types
import unittest

SOURCE = sys.argv.pop(1)


def load(outputs, programs=()):
    """look.py with the given programs' output instead of this machine's: {"ss -H …": "text" or (code, text)}."""
    look = types.ModuleType("look")
    with open(SOURCE) as f:
        exec(compile(f.read(), SOURCE, "exec"), look.__dict__)

    def call(*args):
        found = outputs.get(" ".join(args))
        if found is None:
            return None
        code, text = found if isinstance(found, tuple) else (0, found)
        return subprocess.CompletedProcess(args, code, stdout=text, stderr=text if code else "")

    look.call = call
    look.shutil = types.SimpleNamespace(which=lambda name: name if name in programs else None)
    return look


TCP, UDP = "ss -H -l -n -p -t", "ss -H -l -n -p -u"

TCP_TEXT = """\
LISTEN 0      511          0.0.0.0:80         0.0.0.0:*    users:(("nginx",pid=9,fd=6),("nginx",pid=8,fd=6))
LISTEN 0      128          0.0.0.0:22         0.0.0.0:*    users:(("sshd",pid=7,fd=3))
LISTEN 0      128             [::]:22            [::]:*    users:(("sshd",pid=7,fd=4))
LISTEN 0      4096   127.0.0.53%lo:53         0.0.0.0:*    users:(("systemd-resolve",pid=5,fd=14))
LISTEN 0      4096               *:9100             *:*    users:(("node exporter",pid=4,fd=3))
LISTEN 0      50     [::ffff:127.0.0.1]:8080        *:*    users:(("java",pid=3,fd=9))
LISTEN 0      50         10.0.0.1:111        0.0.0.0:*
garbage
"""

UDP_TEXT = """\
UNCONN 0      0            0.0.0.0:68         0.0.0.0:*    users:(("dhclient",pid=2,fd=7))
UNCONN 0      0      [fe80::5054:ff:fe12:3456]%eth0:546  [::]:*  users:(("systemd-network",pid=1,fd=7))
"""


class Sockets(unittest.TestCase):
    def test_every_form_of_address(self):
        got = {(s["proto"], s["address"], s["port"], s["process"]) for s in load({TCP: TCP_TEXT, UDP: UDP_TEXT}).sockets()}
        self.assertEqual(got, {
            ("tcp", "0.0.0.0", 80, "nginx"), ("tcp", "0.0.0.0", 22, "sshd"), ("tcp", "::", 22, "sshd"),
            ("tcp", "127.0.0.53", 53, "systemd-resolve"), ("tcp", "0.0.0.0", 9100, "node exporter"),
            ("tcp", "::ffff:127.0.0.1", 8080, "java"), ("tcp", "10.0.0.1", 111, ""),
            ("udp", "0.0.0.0", 68, "dhclient"), ("udp", "fe80::5054:ff:fe12:3456", 546, "systemd-network"),
        })

    def test_twice_the_same_is_told_once(self):
        line = "LISTEN 0 1 0.0.0.0:80 0.0.0.0:* users:((\"a\",pid=1,fd=1))\n"
        self.assertEqual(len(load({TCP: line * 3, UDP: ""}).sockets()), 1)

    def test_without_ss_nothing_is_claimed(self):
        for outputs in ({}, {TCP: "", UDP: (1, "cannot open netlink socket")}):
            with self.assertRaises(SystemExit) as told:
                load(outputs).sockets()
            self.assertIn("iproute2", str(told.exception))


NFT_UFW_OFF = "table ip filter {\n chain INPUT {\n  type filter hook input priority filter; policy accept;\n }\n}\n"
NFT_FOREIGN = NFT_UFW_OFF.replace("accept", "drop")
NFT_NAT = "table ip nat {\n chain POSTROUTING {\n  type nat hook postrouting priority srcnat; policy accept;\n }\n}\n"
NFT_FORWARD = "table ip filter {\n chain FORWARD {\n  type filter hook forward priority filter; policy drop;\n }\n}\n"


class Firewall(unittest.TestCase):
    def test_who_rules(self):
        ufw_on, ufw_off = {"ufw status": "Status: active\n\nTo   Action"}, {"ufw status": "Status: inactive\n"}
        for want, outputs, programs in (
            ("none", {}, ()),
            ("none", {"nft list ruleset": ""}, ("nft",)),
            ("none", {"nft list ruleset": NFT_UFW_OFF + NFT_NAT}, ("nft",)),
            ("none", {"nft list ruleset": NFT_FORWARD}, ("nft",)),  # Docker's
            ("ufw", ufw_on, ("ufw",)),
            ("ufw", {**ufw_on, "nft list ruleset": NFT_FOREIGN}, ("ufw", "nft")),  # ufw's own rules
            ("ufw-inactive", ufw_off, ("ufw",)),
            ("nftables", {**ufw_off, "nft list ruleset": NFT_FOREIGN}, ("ufw", "nft")),
            ("nftables", {"nft list ruleset": NFT_FOREIGN}, ("nft",)),
            ("firewalld", {"firewall-cmd --state": "running\n", **ufw_on}, ("ufw",)),
            ("none", {"firewall-cmd --state": (252, "not running\n")}, ()),
        ):
            self.assertEqual(load(outputs, programs).firewall(), want, outputs)


class System(unittest.TestCase):
    def system(self, text):
        with tempfile.NamedTemporaryFile("w") as f:
            f.write(text)
            f.flush()
            return load({}).system(f.name)

    def test_families(self):
        debian = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\nID=debian\n'
        ubuntu = 'PRETTY_NAME="Ubuntu 24.04.1 LTS"\nVERSION_ID="24.04"\nID=ubuntu\nID_LIKE=debian\n'
        alma = 'NAME="AlmaLinux"\nID="almalinux"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\nPRETTY_NAME="AlmaLinux 9.4 (Seafoam Ocelot)"\n'
        mint = 'ID=linuxmint\nID_LIKE="ubuntu debian"\nPRETTY_NAME="Linux Mint 22"\nVERSION_ID="22"\n'
        for text, want in (
            (debian, ("Debian GNU/Linux 12 (bookworm)", "debian", "12")), (ubuntu, ("Ubuntu 24.04.1 LTS", "debian", "24.04")),
            (alma, ("AlmaLinux 9.4 (Seafoam Ocelot)", "almalinux", "9.4")), (mint, ("Linux Mint 22", "debian", "22")), ("", ("unknown", "", "")),
        ):
            self.assertEqual(tuple(self.system(text).values()), want)

    def test_without_the_file(self):
        self.assertEqual(load({}).system("/nonexistent/os-release")["os"], "unknown")


class Addresses(unittest.TestCase):
    def test_both_families_and_the_way_out(self):
        look = load({
            "ip -o addr show scope global": "2: eth0    inet 10.0.0.5/24 brd 10.0.0.255 scope global eth0\\ valid_lft\n"
                                            "2: eth0    inet6 2001:db8::5/64 scope global \\ valid_lft\n",
            "ip -4 route get 192.0.2.1": "192.0.2.1 via 10.0.0.1 dev eth0 src 10.0.0.5 uid 0\n    cache\n",
        })
        self.assertEqual(look.addresses(), {"addresses": ["10.0.0.5", "2001:db8::5"], "default_address": "10.0.0.5"})

    def test_a_server_without_ipv4(self):
        look = load({"ip -6 route get 2001:db8::1": "2001:db8::1 from :: via fe80::1 dev eth0 src 2001:db8::5 metric 1024\n"})
        self.assertEqual(look.addresses()["default_address"], "2001:db8::5")

    def test_without_a_way_out(self):
        self.assertEqual(load({}).addresses(), {"addresses": [], "default_address": ""})


class Nginx(unittest.TestCase):
    def test_broken_hanging_whole(self):
        for outputs, want in (({"nginx -t -q": (1, "[emerg] bad")}, "[emerg] bad"), ({}, "nginx -t does not end"), ({"nginx -t -q": ""}, "")):
            self.assertEqual(load(outputs, ("nginx",)).nginx()["nginx_broken"], want)


class NginxDefault(unittest.TestCase):
    def answers(self, *texts):
        """The place of the file that answers any name, and whether it says so."""
        with tempfile.TemporaryDirectory() as folder:
            paths = ["%s/%d.conf" % (folder, i) for i in range(len(texts))]
            for path, text in zip(paths, texts):
                with open(path, "w") as f:
                    f.write(text)
            found, explicit = load({}).nginx_default(paths)
            return paths.index(found) if found else None, explicit

    def test_who_answers_any_name(self):
        plain, said = "server { listen 80; }", "server { listen [::]:80 default_server; }"
        for texts, want in (
            ((), (None, False)),
            ((plain, plain), (0, False)),
            ((plain, said), (1, True)),
            (("server { listen 8080 default_server; }", "server { listen 127.0.0.1:443 ssl default_server; }"), (None, False)),
            (("# listen 80 default_server;\nserver { listen 8080; }",), (None, False)),
            (("server { listen unix:/run/x.sock default_server; }", "server { listen 192.0.2.1 default; }"), (1, True)),
        ):
            self.assertEqual(self.answers(*texts), want, texts)


class Call(unittest.TestCase):
    def test_output_is_untranslated_and_never_breaks(self):
        look = types.ModuleType("look")
        with open(SOURCE) as f:
            exec(compile(f.read(), SOURCE, "exec"), look.__dict__)
        self.assertEqual(look.run("sh", "-c", "printf \"$LC_ALL\\377\""), "C\ufffd")
        self.assertEqual(look.run("sh", "-c", "echo x; exit 3"), "")
        self.assertEqual(look.run("no-such-program"), "")


unittest.main()
