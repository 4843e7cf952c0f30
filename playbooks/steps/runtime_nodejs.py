"""Node.js and npm from Debian, installed with the first app of the kind, and beside them a version that an app asks for.

SPEC: version (major version, or empty). npm has every real Node.js as a package; Debian's own fetches it.
"""

ROOT = "/opt/serverplane/nodejs"
CERTIFICATES = {"NODE_EXTRA_CA_CERTS": "/etc/ssl/certs/ca-certificates.crt"}


def fetch(version):
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(os.uname().machine)
    if machine is None:
        fail("Node.js %s cannot be had for %s; take the option version away" % (version, os.uname().machine))
    staging, home = "%s/.%s" % (ROOT, version), "%s/%s" % (ROOT, version)
    shutil.rmtree(staging, ignore_errors=True)
    os.makedirs(staging + "/bin", 0o755)
    package = "node-linux-" + machine
    done = run("npm", "install", "--prefix", staging, "--no-audit", "--no-fund", "--loglevel=error", "%s@%s" % (package, version), "npm@10",
               env=CERTIFICATES, check=False, cwd=staging)
    if done.returncode != 0:
        fail("Node.js %s could not be fetched with npm" % version, last_lines(done.stdout + done.stderr))
    for name, target in (("node", package + "/bin/node"), ("npm", "npm/bin/npm-cli.js"), ("npx", "npm/bin/npx-cli.js")):
        os.symlink("../node_modules/" + target, staging + "/bin/" + name)
    os.rename(staging, home)
    changed("Node.js %s in %s" % (output(home + "/bin/node", "--version"), home))


def main():
    version = SPEC["version"]
    if not re.fullmatch(r"[0-9]{0,2}", version):
        fail("version %r is not allowed" % version)
    if not install(["nodejs", "npm"]):
        say("Node.js is here: " + output("node", "--version"))
    if version and not os.path.exists("%s/%s/bin/node" % (ROOT, version)):
        fetch(version)


main()
