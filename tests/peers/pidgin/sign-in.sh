#!/usr/bin/env bash
# Signs in at a running lab with pidgin-sipe as Debian ships it, and says what came of it; see README.md.
#
#   sign-in.sh --pool ADDRESS --ca FILE --user NAME --password WORD [--server HOST[:PORT]] [--stay SECONDS] …
#
# Without --server it finds the pool by autodiscover. What it does not know itself it passes on to the client
# (client.c). It ends as the client does: 0 signed on and off, 1 refused, 2 too late; and with 77 if it had to skip.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

skip() { echo "skipped: $*"; exit 77; }

pool="" user="" pass_on=()
while [ $# -gt 0 ]; do
	case "$1" in
	--pool) pool=${2:?an address}; shift 2 ;;
	--user) user=${2:?a name}; pass_on+=("$1" "$2"); shift 2 ;;
	*) pass_on+=("$1"); shift ;;
	esac
done
[ -n "$pool" ] && [ -n "$user" ] || { echo "--pool and --user are needed" >&2; exit 3; }
domain=${user#*@}

command -v gcc >/dev/null || skip "no gcc"
pkg-config --exists purple 2>/dev/null || skip "no libpurple-dev"
[ -e /usr/lib/purple-2/libsipe.so ] || skip "no pidgin-sipe"
compgen -G "/usr/lib/*/libnss_wrapper.so" >/dev/null || skip "no libnss-wrapper"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# shellcheck disable=SC2046  # pkg-config prints words.
gcc -O1 -o "$work/client" "$here/client.c" $(pkg-config --cflags --libs purple)
gcc -O1 -shared -fPIC -o "$work/libxml2-shim.so" "$here/libxml2-shim.c" -ldl

# The names that the client looks up, in a hosts file of its own: the system's is left alone.
{
	echo "127.0.0.1 localhost"
	for name in fe sip sipinternal lyncdiscover lyncdiscoverinternal; do echo "$pool $name.$domain"; done
} >"$work/hosts"

run() {
	rm -rf "$work/home" && mkdir "$work/home"
	LD_PRELOAD="$work/libxml2-shim.so libnss_wrapper.so" NSS_WRAPPER_HOSTS="$work/hosts" \
		timeout 300 "$work/client" --home "$work/home" "${pass_on[@]}" >"$work/said" 2>"$work/log"
}

# A failure of libpurple's own (see README.md) gets a second try.
status=0
run || status=$?
if [ "$status" -ge 128 ] || grep -qE "^error network-error: (Write error|Server has disconnected)" "$work/said"; then
	echo "libpurple failed by itself; once more" >&2
	status=0
	run || status=$?
fi
cat "$work/said"
[ "$status" -le 2 ] || cat "$work/log" >&2
exit "$status"
