# Lets the panel in: user serverplane with the key $1 and sudo without a password. Runs as root, any number of times.
echo 'serverplane: begin'
exec </dev/null
set -eu
umask 077
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
key=$1
user=serverplane
home=/home/serverplane

if ! command -v visudo >/dev/null; then
	export DEBIAN_FRONTEND=noninteractive
	apt-get -qq -o DPkg::Lock::Timeout=120 update >/dev/null
	apt-get -qq -o DPkg::Lock::Timeout=120 install --no-install-recommends sudo >/dev/null
fi

if ! entry=$(getent passwd "$user"); then
	useradd --system --user-group --home-dir "$home" --shell /bin/bash "$user"
	# No password, yet not locked: sshd without PAM lets nobody into a locked account, by key neither.
	usermod --password '*' "$user"
	entry=$(getent passwd "$user")
fi
if [ "$(printf %s "$entry" | cut -d: -f6,7)" != "$home:/bin/bash" ]; then
	usermod --home "$home" --shell /bin/bash "$user"
fi
install -d -m 0755 /home
install -d -m 0750 -o "$user" -g "$user" "$home"
install -d -m 0700 -o "$user" -g "$user" "$home/.ssh"

keys=$home/.ssh/authorized_keys
body=$(printf %s "$key" | cut -d' ' -f1,2)
if ! grep -qF -- "$body" "$keys" 2>/dev/null; then
	new=$(mktemp "$home/.ssh/.authorized_keys.XXXXXX")
	{ [ ! -s "$keys" ] || sed -e '$a\' "$keys"; printf '%s\n' "$key"; } >"$new"
	chmod 0600 "$new"
	chown "$user:$user" "$new"
	mv -f "$new" "$keys"
fi

rule=/etc/sudoers.d/serverplane
install -d -m 0750 /etc/sudoers.d
# sudo passes over names with a dot, so an unfinished file is never read.
new=$(mktemp /etc/sudoers.d/.serverplane.XXXXXX)
trap 'rm -f "$new"' EXIT
printf '%s\n' 'Defaults:serverplane !requiretty' 'serverplane ALL=(ALL:ALL) NOPASSWD: ALL' >"$new"
chmod 0440 "$new"
visudo -q -c -f "$new"
cmp -s "$new" "$rule" || mv -f "$new" "$rule"

if ! said=$(runuser -u "$user" -- sudo -n -- true 2>&1); then
	echo "sudo does not work for $user: $said" >&2
	exit 1
fi
