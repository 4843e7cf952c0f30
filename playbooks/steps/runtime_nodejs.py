"""Node.js and npm from Debian, installed with the first app of the kind."""

missing = install(["nodejs", "npm"])
if not missing:
    say("Node.js is here: " + output("node", "--version"))
