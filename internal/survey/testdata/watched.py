"""Runs look.py and stops it when it is about to change something or to call what it has no need to."""
import os
import sys

source = sys.argv[1]
with open(source) as f:
    code = compile(f.read(), source, "exec")

LOOKING = {
    ("ss", "-H"), ("ip", "-o"), ("ip", "-4"), ("ip", "-6"), ("ufw", "status"), ("nft", "list"), ("firewall-cmd", "--state"),
    ("nginx", "-t"), ("node", "--version"),
}
CHANGING = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.chmod", "os.chown", "os.link", "os.symlink", "os.truncate", "os.kill",
            "os.system", "os.utime", "shutil.", "socket.")


def watch(event, args):
    if event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and args[0] != "/dev/null":
        os.write(2, f"look.py opens {args[0]} to write\n".encode())
        os._exit(66)
    if event == "subprocess.Popen" and tuple(args[1][:2]) not in LOOKING:
        os.write(2, f"look.py runs {args[1]}\n".encode())
        os._exit(66)
    if event.startswith(CHANGING):
        os.write(2, f"look.py does {event} {args}\n".encode())
        os._exit(66)


sys.addaudithook(watch)
exec(code, {"__name__": "__main__"})
