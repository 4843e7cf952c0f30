#!/bin/sh
# Makes one slot of an app the live one: the entry looks for the app's marker at each request.
#
#     switch APP a|b
#
# A program of its own beside the guard, because all traffic waits for it and Python starts slowly (docs/performance.md). Runs as
# root, prints one JSON object as the guard does. A marker needs no lock: it is one file, there or not there.
set -u
umask 022
LC_ALL=C
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LIVE=/var/lib/serverplane/live

end() {
	printf '{"result": "%s", "message": "%s"}\n' "$1" "${2-}"
	exit 0
}

[ $# -eq 2 ] || end refused "want an app's name and a or b"
case $1 in
'' | [!a-z]* | *[!a-z0-9-]* | *-) end refused "want an app's name" ;;
esac
[ ${#1} -le 24 ] || end refused "want an app's name of at most 24 characters"
marker=$LIVE/$1.b

case $2 in
a)
	[ -e "$marker" ] || end unchanged
	rm -f -- "$marker" || end failed "the marker cannot be removed"
	;;
b)
	[ ! -e "$marker" ] || end unchanged
	true >"$marker" || end failed "the marker cannot be made"
	;;
*) end refused "want slot a or b" ;;
esac
sync -- "$LIVE" || end failed "the marker may not survive a power cut"
end applied
