"""Says who holds apt or dpkg; ends well when nobody does. The playbook repeats it."""

holders = []
for lock in ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock", "/var/lib/apt/lists/lock"):
    holder = lock_holder(lock)
    if holder and holder not in holders:
        holders.append(holder)
if holders:
    fail("waiting for " + ", ".join(holders) + " to release the package system")
