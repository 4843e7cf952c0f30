"""Node.js and npm from Debian, installed with the first app of the kind, and beside them a version that an app asks for.

SPEC: version (major version, or empty). npm has every real Node.js as a package; Debian's own fetches it.
"""

import contextlib

ROOT = "/opt/serverplane/nodejs"
CERTIFICATES = {"NODE_EXTRA_CA_CERTS": "/etc/ssl/certs/ca-certificates.crt"}


@contextlib.contextmanager
def alone():
    """Two apps may ask for the same version at once: the second finds what the first has fetched."""
    os.makedirs(ROOT, 0o755, exist_ok=True)
    with open(ROOT + "/.lock", "w") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def fetch(version):
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(os.uname().machine)
    if machine is None:
        fail("Node.js %s cannot be had for %s; take the option version away" % (version, os.uname().machine))
    home = "%s/%s" % (ROOT, version)
    for left in (n for n in os.listdir(ROOT) if re.fullmatch(r"\.[0-9]{2}(-.*)?", n)):  # of a fetch that was cut short
        shutil.rmtree(ROOT + "/" + left, ignore_errors=True)
    staging = tempfile.mkdtemp(prefix=".%s-" % version, dir=ROOT)
    try:
        unpack(staging, "node-linux-" + machine, version)
        os.chmod(staging, 0o755)
        os.rename(staging, home)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    changed("Node.js %s in %s" % (output(home + "/bin/node", "--version"), home))


def unpack(staging, package, version):
    """No script of a package runs: this is root's shell."""
    done = run("npm", "install", "--prefix", staging, "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "%s@%s" % (package, version), "npm@10",
               env=CERTIFICATES, check=False, cwd=staging)
    if done.returncode != 0:
        fail("Node.js %s could not be fetched with npm" % version, last_lines(done.stdout + done.stderr))
    os.mkdir(staging + "/bin", 0o755)
    for name, target in (("node", package + "/bin/node"), ("npm", "npm/bin/npm-cli.js"), ("npx", "npm/bin/npx-cli.js")):
        os.symlink("../node_modules/" + target, staging + "/bin/" + name)


def main():
    version = SPEC["version"]
    if not re.fullmatch(r"[0-9]{0,2}", version):
        fail("version %r is not allowed" % version)
    if not install(["nodejs", "npm"]):
        say("Node.js is here: " + output("node", "--version"))
    if version:
        with alone():
            if not os.path.exists("%s/%s/bin/node" % (ROOT, version)):
                fetch(version)


main()
