# Reads what is new in the logs of entries, whole lines only, and changes nothing. Runs as root with Python 3.9 or later.
#
# Standard input: {"files": [{"path", "places": [{"inode", "offset", "head"}]}], "most": bytes of each, "behind": bytes}.
# Standard output, for each file: one line of JSON, then as many lines as it says. Of a log's line only what comes before
# the visitor's address and after the path is told: no visitor's data leaves the server.
#
# A log is read in two files, itself and the one logrotate made of it last: a worker may go on writing to that for a moment.
import hashlib
import json
import os
import sys

HEAD = 512


def head_of(fd):
    """Names a file by its first line, which never changes; "" while that is not whole."""
    line, end, _ = os.pread(fd, HEAD, 0).partition(b"\n")
    return hashlib.sha256(line).hexdigest()[:16] if end or len(line) == HEAD else ""


def told(line):
    """TIME ADDRESS "METHOD PATH" REST becomes TIME REST. A visitor's quotes stand there as \\x22."""
    parts = line.split(b'"', 2)
    return parts[0].split(b" ", 1)[0] + parts[2] if len(parts) == 3 else b"?"


class File:
    """One file of a log as it is now."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        status = os.fstat(self.fd)
        self.inode, self.size, self.head = status.st_ino, status.st_size, head_of(self.fd)
        self.offset = 0

    def known_as(self, place):
        return place["inode"] == self.inode and place["offset"] <= self.size and place["head"] in ("", self.head)

    def place(self):
        return {"inode": self.inode, "offset": self.offset, "head": self.head}

    def read(self, most):
        data = os.pread(self.fd, max(0, most), self.offset)
        end = data.rfind(b"\n") + 1
        self.offset += end
        return [told(line) for line in data[:end].split(b"\n")[:-1]]

    def skip(self, keep):
        """Goes on shortly before the end, where a line begins; tells how much is left out."""
        before, self.offset = self.offset, self.size - keep
        self.offset += os.pread(self.fd, keep, self.offset).find(b"\n") + 1
        return self.offset - before


def opened(path):
    try:
        return File(path)
    except FileNotFoundError:
        return None


def follow(path, places):
    """The files to read on, the older first, and whether some of the log is gone unread."""
    now, before = opened(path), opened(path + ".1")
    known = {}
    for f in filter(None, (before, now)):
        known[f] = next((p for p in places if f.known_as(p)), None)
        f.offset = known[f]["offset"] if known[f] else 0
    lost = bool(places) and not any(p is places[-1] for p in known.values())
    if before and not known[before] and not (places and now and not known[now]):
        before = None  # it was there before this panel first looked
    return [f for f in (before, now) if f], lost


def look(path, places, most, behind):
    files, lost = follow(path, places)
    lines, skipped = [], 0
    for f in files:
        if f.size - f.offset > behind:
            skipped += f.skip(most // 2)
        lines += f.read(most - sum(map(len, lines)))
    rest = sum(f.size - f.offset for f in files)
    answer = {"path": path, "found": bool(files), "places": [f.place() for f in files], "rest": rest, "skipped": skipped,
              "lost": lost, "lines": len(lines)}
    return [json.dumps(answer).encode()] + lines


def main():
    asked = json.load(sys.stdin)
    for f in asked["files"]:
        sys.stdout.buffer.write(b"\n".join(look(f["path"], f["places"], asked["most"], asked["behind"])) + b"\n")


main()
