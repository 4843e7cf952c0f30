#!/bin/sh
# Makes one slot of an app the live one: the entry looks for the app's marker at each request.
#
#     switch APP a|b
#
# A program of its own beside the guard, because all traffic waits for it and Python starts slowly (docs/performance.md). Runs as
# root, prints one JSON object as the guard does. Nothing there is slot a, a file is slot b; while the guard announces a reload it
# is a link to a folder that is named after the slot. The lock is on the folder of markers, and held for a moment only.
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
case $2 in
a | b) ;;
*) end refused "want slot a or b" ;;
esac
marker=$LIVE/$1.b
exec 9<"$LIVE" && flock 9 || end failed "the markers cannot be locked"

now=a link=
if [ -L "$marker" ]; then
	link=$(readlink -- "$marker") || end failed "the marker cannot be read"
	now=${link##*/}
elif [ -e "$marker" ]; then
	now=b
fi
[ "$now" != "$2" ] || end unchanged

if [ -n "$link" ]; then
	ln -sfn -- "${link%/*}/$2" "$LIVE/.$1.switch" && mv -fT -- "$LIVE/.$1.switch" "$marker" || end failed "the marker cannot be changed"
elif [ "$2" = b ]; then
	true >"$marker" || end failed "the marker cannot be made"
else
	rm -f -- "$marker" || end failed "the marker cannot be removed"
fi
sync -- "$LIVE" || end failed "the marker may not survive a power cut"
end applied
