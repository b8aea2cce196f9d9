#!/bin/sh
# `make deploy PI=user@host`: installs or upgrades a Raspberry Pi over ssh. It asks the Pi which bundle it needs, makes
# that bundle, copies it and runs its install.sh.
#
#   PI        user@host; the user may use sudo
#   SSH       how to get there, by default `ssh`; for another port: SSH='ssh -p 2222'
#   OPTIONS   for install.sh, by default --yes
#   BUNDLER   the Python that makes the bundle; it needs pip

set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
SSH=${SSH:-ssh}
OPTIONS=${OPTIONS:---yes}
if [ -z "${PI:-}" ]; then
    echo "Say which: make deploy PI=user@host" >&2
    exit 2
fi
case $PI in -* | *[!A-Za-z0-9@._:%-]*) echo "PI=$PI is not user@host" >&2; exit 2 ;; esac

work=$(mktemp -d)
# shellcheck disable=SC2086  # SSH is a command with its options
pi() { $SSH -o ControlMaster=auto -o ControlPath="$work/%C" -o ControlPersist=60 "$@"; }
end() {
    status=$?
    pi -q -O exit "$PI" 2>/dev/null || true
    rm -rf "$work"
    exit "$status"
}
trap end EXIT
trap 'exit 1' HUP INT TERM

# One connection for all, so that a password is asked for once.
# shellcheck disable=SC2016  # the Pi's shell is to read it
asked=$(pi "$PI" '. /etc/os-release; echo "${VERSION_CODENAME:-} $(dpkg --print-architecture) $(id -u)"') || {
    echo "$PI cannot be reached over ssh" >&2
    exit 1
}
read -r codename architecture user <<END
$asked
END
case $codename in bookworm) system=debian12 ;; trixie) system=debian13 ;; *) system= ;; esac
case $architecture in arm64) machine=aarch64 ;; amd64) machine=x86_64 ;; *) machine= ;; esac
if [ -z "$system" ] || [ -z "$machine" ]; then
    echo "$PI is $codename on $architecture; it needs Raspberry Pi OS or Debian, 12 (bookworm) or 13 (trixie), 64-bit" >&2
    exit 2
fi

echo "$PI is $system-$machine."
"${BUNDLER:-python3}" "$root/deploy/bundle.py" --out "$work/out" "$system-$machine"
bundle=$(echo "$work"/out/*.tar.gz)

echo "Copying ..."
# shellcheck disable=SC2016
folder=$(pi "$PI" 'folder=$(mktemp -d /var/tmp/edge-digits.XXXXXX) && trap "rm -rf $folder" EXIT HUP INT TERM &&
    cat >"$folder/bundle.tar.gz" && tar -xzf "$folder/bundle.tar.gz" -C "$folder" --strip-components=1 &&
    rm "$folder/bundle.tar.gz" && trap - EXIT && echo "$folder"' \
    <"$bundle") || { echo "the bundle could not be copied to $PI" >&2; exit 1; }

[ "$user" = 0 ] && sudo='' || sudo='sudo '
# With a terminal, sudo can ask for a password.
[ -t 0 ] && terminal=-t || terminal=-n
# shellcheck disable=SC2029  # put together here
pi "$terminal" "$PI" "trap 'exit 1' HUP INT TERM; trap 'rm -rf $folder' EXIT; $sudo$folder/install.sh $OPTIONS"
