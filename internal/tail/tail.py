"""Prints the last lines of an app's logs on this server and, if asked to, those that follow.

What to read comes as one JSON object in the first argument:
  units    systemd units by the word a line of theirs is marked with
  files    {"path", "from", and for Nginx's error log "names" and "ports" of the app}
  lines    how many of the last ones to begin with
  follow   go on, for at most "seconds", until standard input ends: whoever reads has gone then
  rate     lines a second at most while following; what is more is counted, not printed
Each line it prints is a JSON object: {"t": microseconds, "from", "text", "bad"} or {"left_out": number}.
It changes nothing.
"""
import ctypes
import datetime
import json
import os
import re
import select
import selectors
import signal
import subprocess
import sys
import time

LINE = 8192  # bytes kept of one line: more than anybody shows
LOOK_BACK = 2 << 20  # bytes of the end of a file that are searched for the app's lines
PIECE = 64 << 10
POLL = 0.3  # seconds between two looks at a file

STAMPS = (
    (re.compile(r"(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) "), "%Y/%m/%d %H:%M:%S"),
    (re.compile(r"[^\[]{0,200}\[(\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\]"), "%d/%b/%Y:%H:%M:%S %z"),
    (re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:?\d\d)"), "%Y-%m-%dT%H:%M:%S%z"),
)
EPOCH = re.compile(r"(\d{10}\.\d{3})\b")
BAD = re.compile(r"\[(error|crit|alert|emerg)\]")


def text_of(raw):
    """raw is what was written; bytes that are no text are made visible."""
    if isinstance(raw, list):  # journalctl's form of what it would not call text
        raw = bytes(raw)
    if isinstance(raw, bytes):
        cut = raw[:LINE].decode("utf-8", "backslashreplace")
        return cut + (" ... (%d bytes more)" % (len(raw) - LINE) if len(raw) > LINE else "")
    return text_of((raw or "").encode("utf-8", "surrogateescape"))


def stamp_of(line):
    """When Nginx wrote the line, in microseconds, or 0."""
    found = EPOCH.match(line)
    if found:
        return int(float(found.group(1)) * 1e6)
    for pattern, form in STAMPS:
        found = pattern.match(line)
        try:
            if found:
                return int(datetime.datetime.strptime(found.group(1), form).timestamp() * 1e6)
        except ValueError:
            pass
    return 0


NAMED = r', client: [0-9a-fA-F.:]+, server: ([^,]*), request: "'
ASKED = r', upstream: "http://127\.0\.0\.1:(\d+)[/"]'
# Nothing quoted comes before: what follows is Nginx's own until the request ends, for a request line that holds more blanks is refused.
PLAIN = re.compile(r'[^"]*' + NAMED)
PLAIN_ASKED = re.compile(r'[^"]*' + NAMED + r'[^ ]* [^ ]*(?: [^ ]*)?"(?:, subrequest: "[^ ]*")?' + ASKED)


def elsewhere(line):
    """Whether a line of a site without a name is somebody else's: it serves files, or asks what is no slot of any app's."""
    if ', upstream: "' in line:
        asked = re.search(r', upstream: "http://[^/"]*:(\d+)[/"]', line)
        return not asked or not 20001 <= int(asked.group(1)) <= 29999
    return '"' in line.partition(", client: ")[0]


def about(line, names, ports):
    """Whether a line of Nginx's error log is about the app: by the name the visitor asked for, or by the process asked.

    A path, a header or a referrer in the line may look like the rest of it. Where a quoted text comes first, which other
    sites' files have, whatever looks like a name must be the app's.
    """
    if "_" in names and elsewhere(line):
        names = []
    head, asked = PLAIN.match(line), PLAIN_ASKED.match(line)
    if head:
        return head.group(1) in names or bool(asked) and int(asked.group(2)) in ports
    named = set(re.findall(NAMED, line))
    asked = {int(port) for port in re.findall(ASKED, line)}
    return bool(named) and named <= set(names) or named == {""} and bool(asked) and asked <= set(ports)


class Journal:
    """The lines of some units, from a journalctl of our own."""

    def __init__(self, want):
        self.marks = want["units"]
        args = ["journalctl", "--no-pager", "--quiet", "--all", "--output=json", "--lines=%d" % want["lines"],
                "--output-fields=MESSAGE,PRIORITY,UNIT,_SYSTEMD_UNIT"]
        if want["follow"]:
            args.append("--follow")
        args += ["--unit=" + unit for unit in self.marks]
        self.child = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      preexec_fn=lambda: ctypes.CDLL(None).prctl(1, signal.SIGTERM))
        os.set_blocking(self.child.stdout.fileno(), False)
        self.rest = b""
        self.over = False

    def fileno(self):
        return self.child.stdout.fileno()

    def read(self):
        """The records that have arrived."""
        try:
            piece = os.read(self.fileno(), PIECE)
        except BlockingIOError:
            return []
        if not piece:
            self.over = True
        *lines, self.rest = (self.rest + piece).split(b"\n")
        if len(self.rest) > 16 * PIECE:
            self.rest = b""  # no record of ours is as long
        return [r for r in map(self.record, lines) if r]

    def record(self, line):
        try:
            said = json.loads(line)
        except ValueError:
            return None
        unit = said.get("UNIT") or said.get("_SYSTEMD_UNIT")
        if isinstance(unit, list):
            unit = unit[0] if unit and isinstance(unit[0], str) else bytes(unit).decode("utf-8", "replace")
        text = text_of(said.get("MESSAGE"))
        if said.get("UNIT"):
            text = "systemd: " + text
        bad = str(said.get("PRIORITY", "")) in ("0", "1", "2", "3")
        return {"t": int(said["__REALTIME_TIMESTAMP"]), "from": self.marks.get(unit, "?"), "text": text, "bad": bad}


class File:
    """The lines of one file, across its rotation."""

    def __init__(self, want, lines):
        self.path, self.mark = want["path"], want["from"]
        self.names, self.ports = want.get("names"), want.get("ports")
        self.open = None
        self.rest = b""
        here = self.last(self.path, keep=True)
        older = self.last(self.path + ".1") if len(here) < lines else []
        self.begin = (older + here)[-lines:]

    def last(self, path, keep=False):
        """The app's lines near the end of a file; keep goes on from there."""
        try:
            at = open(path, "rb")
        except OSError:
            return []
        size = at.seek(0, os.SEEK_END)
        begin = max(0, size - LOOK_BACK)
        at.seek(begin)
        lines = at.read(size - begin).split(b"\n")
        if begin:
            del lines[0]
        rest = lines.pop() if lines else b""
        if keep:
            self.open, self.rest = at, rest
        else:
            at.close()
        return self.ours(lines)

    def ours(self, lines):
        out = []
        for raw in lines:
            text = text_of(raw)
            if raw and (self.ports is None or about(text, self.names, self.ports)):
                out.append({"t": stamp_of(text), "from": self.mark, "text": text, "bad": bool(self.ports is not None and BAD.search(text))})
        return out

    def read(self):
        """The lines that were written since."""
        out = self.more()
        try:
            now = os.stat(self.path)
        except OSError:
            return out
        if self.open:
            was = os.fstat(self.open.fileno())
            if was.st_ino == now.st_ino and was.st_dev == now.st_dev:
                if now.st_size < self.open.tell():
                    self.open.seek(0)
                return out
            out += self.more()  # what was written to the old file before the new one came
            self.open.close()
        try:
            self.open, self.rest = open(self.path, "rb"), b""
        except OSError:
            self.open = None
        return out + self.more()

    def more(self):
        if not self.open:
            return []
        *lines, self.rest = (self.rest + self.open.read(16 * PIECE)).split(b"\n")
        if len(self.rest) > 16 * PIECE:
            self.rest = b""
        return self.ours(lines)


class Printer:
    """Prints so many lines a second, after the first ones, and counts the others."""

    def __init__(self, want):
        self.rate, self.first = want["rate"], want["lines"]
        self.second, self.printed, self.left_out = 0, 0, 0

    def write(self, records):
        for r in records:
            sys.stdout.write(json.dumps(r) + "\n")
        sys.stdout.flush()

    def show(self, records):
        self.write(records[:self.first])  # journalctl gives its last lines at once, however many
        records, self.first = records[self.first:], max(0, self.first - len(records))
        now = int(time.monotonic())
        if now != self.second:
            self.tell()
            self.second, self.printed = now, 0
        room = max(0, self.rate - self.printed)
        self.write(records[:room])
        self.printed += min(room, len(records))
        self.left_out += max(0, len(records) - room)

    def tell(self):
        if self.left_out:
            self.write([{"left_out": self.left_out}])
            self.left_out = 0


def in_order(records):
    """By time; a line that does not tell has that of the one before it."""
    last = 0
    for r in records:
        last = r["t"] = r["t"] or last
    return sorted(records, key=lambda r: r["t"])


def begin(want, journal, files):
    """The last lines, all sources together."""
    records = [r for f in files for r in in_order(f.begin)]
    if journal and not want["follow"]:
        while not journal.over:
            select.select([journal], [], [])
            records += journal.read()
    return in_order(records)[-want["lines"]:]


def follow(want, journal, files, printer):
    """Goes on until nobody reads any more or it has lasted long enough."""
    end = time.monotonic() + want["seconds"]
    wake = selectors.DefaultSelector()
    wake.register(sys.stdin, selectors.EVENT_READ)
    if journal:
        wake.register(journal, selectors.EVENT_READ)
    while time.monotonic() < end:
        ready = [key.fileobj for key, _ in wake.select(POLL if files else 1)]
        if sys.stdin in ready and not os.read(0, PIECE):
            return
        if journal in ready:
            printer.show(journal.read())
            if journal.over:
                return
        for f in files:
            printer.show(f.read())
        printer.show([])


def main():
    want = json.loads(sys.argv[1])
    if not want["follow"]:
        signal.alarm(want["seconds"])
    journal = Journal(want) if want.get("units") else None
    try:
        files = [File(f, want["lines"]) for f in want.get("files", [])]
        printer = Printer(want)
        printer.write(begin(want, journal, files))
        if want["follow"]:
            follow(want, journal, files, printer)
            printer.tell()
    finally:
        if journal:
            journal.child.kill()
            journal.child.wait()


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
