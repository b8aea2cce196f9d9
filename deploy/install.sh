#!/bin/sh
# Installs Edge Digits as a service on Raspberry Pi OS and Debian 12 and 13, upgrades it, and takes it away again.
#
#   sudo ./install.sh                 install or upgrade; out of an unpacked bundle nothing is fetched
#   ./install.sh check                only say what is missing
#   sudo ./install.sh rollback        back to the version before
#   sudo ./install.sh uninstall       leave the readings and the configuration
#   sudo ./install.sh uninstall --purge   leave nothing
#
#   --yes              no questions: install python3-picamera2 where it can be had
#   --no-picamera2     do not ask for it
#   --camera CAMERA    for the first configuration: auto, picamera2, synthetic, or a device such as /dev/video0
#
# Exit status: 0 done, 1 failed (the version before goes on), 2 not begun: the command line, or something is missing.
#
# A version is a folder of its own; /opt/edge-digits/current says which one is in use, and is changed in one step, once
# the new one is complete. Whenever this is interrupted, running it again finishes the work.

set -eu
export LC_ALL=C
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 022
unset PYTHONPATH PYTHONHOME CDPATH 2>/dev/null || true

NAME=edge-digits
BASE=/opt/$NAME
VERSIONS=$BASE/versions
CURRENT=$BASE/current
PREVIOUS=$BASE/previous
PENDING=$BASE/pending          # the version that was switched to, until it was seen to be well
ETC=/etc/$NAME
CONFIG=$ETC/daemon.toml
TOKEN=$ETC/token
STATE=/var/lib/$NAME
UNIT=/etc/systemd/system/$NAME.service
WANTS=/etc/systemd/system/multi-user.target.wants/$NAME.service
COMMAND=/usr/local/bin/$NAME
LOCK=/run/lock/$NAME-install.lock
PYTHON=/usr/bin/python3        # the system's: it sees what apt installs

HEALTH_SECONDS=${EDGE_DIGITS_HEALTH_SECONDS:-90}   # for a new version to be well; a Zero 2 W starts it in a fraction
STEADY_SECONDS=${EDGE_DIGITS_STEADY_SECONDS:-3}    # and to stay so
SPARE_KB=65536                 # free space beside what is installed
MOST_RESTARTS=5
with_camera=                   # not empty: a camera that fails is not well

here=$(cd "$(dirname "$0")" && pwd)
work=
yes=0
picamera2=1
purge=0
camera=
action=
old=

say() { printf '%s\n' "$*"; }
warn() { printf '%s: %s\n' "$NAME" "$*" >&2; }
die() { warn "$*"; exit 1; }
refuse() { warn "$*"; exit 2; }
usage() { sed -n '2,/^$/s/^# \{0,1\}//p' "$0"; }

while [ $# -gt 0 ]; do
    case $1 in
    install | check | rollback | uninstall)
        [ -z "$action" ] || refuse "one thing at a time: $action or $1"
        action=$1
        ;;
    --yes | -y) yes=1 ;;
    --no-picamera2) picamera2=0 ;;
    --purge) purge=1 ;;
    --camera)
        [ $# -gt 1 ] || refuse "--camera needs a value"
        shift
        camera=$1
        ;;
    --camera=*) camera=${1#*=} ;;
    --help | -h) usage; exit 0 ;;
    *) refuse "unknown: $1; see $0 --help" ;;
    esac
    shift
done
action=${action:-install}
case $camera in
'' | auto | picamera2 | synthetic | /dev/*) ;;
*) refuse "--camera $camera: auto, picamera2, synthetic, or a device such as /dev/video0" ;;
esac
if [ "$purge" = 1 ] && [ "$action" != uninstall ]; then
    refuse "--purge belongs to uninstall"
fi

# What is here ---------------------------------------------------------------------------------------------------------

has() { command -v "$1" >/dev/null 2>&1; }
systemd_runs() { [ -d /run/systemd/system ] && has systemctl; }
is_bundle() { [ -f "$here/MANIFEST" ] && [ -f "$here/VERSION" ] && [ -d "$here/wheels" ]; }
is_checkout() { [ -f "$here/bundle.py" ] && [ -f "$here/../pyproject.toml" ]; }
fact() { sed -n "s/^$1=//p" "$here/VERSION"; }  # of the bundle
release() { sed -n "s/^$1=\"\{0,1\}\([^\"]*\)\"\{0,1\}$/\1/p" /etc/os-release 2>/dev/null; }
link() { readlink "$1" 2>/dev/null || true; }
seconds() { cut -d. -f1 /proc/uptime; }  # the clock of a Pi jumps when it hears what time it is

# The machine's userland: with a 64-bit kernel, Raspberry Pi OS may still be the 32-bit one.
machine() {
    case $(dpkg --print-architecture 2>/dev/null || uname -m) in
    arm64 | aarch64) echo aarch64 ;;
    amd64 | x86_64) echo x86_64 ;;
    *) dpkg --print-architecture 2>/dev/null || uname -m ;;
    esac
}

system() {
    case "$(release ID) $(release ID_LIKE)" in
    *debian* | *raspbian*) ;;
    *) return ;;
    esac
    case "$(release VERSION_CODENAME) $(release VERSION_ID)" in
    bookworm* | *" 12" | *" 12."*) echo debian12 ;;
    trixie* | *" 13" | *" 13."*) echo debian13 ;;
    esac
}

is_raspberry_pi() {
    [ -f /etc/rpi-issue ] || grep -qs 'Raspberry Pi' /proc/device-tree/model
}

# Says a line for each thing that is missing; nothing where all is there.
problems() {
    [ "$(id -u)" = 0 ] || [ "$action" = check ] || say "it needs root: sudo $0"
    machine=$(machine)
    case $machine in
    aarch64 | x86_64) ;;
    armhf | armv7l | armv6l)
        say "this is a 32-bit system ($machine), for which the packages it needs do not exist: write the 64-bit" \
            "Raspberry Pi OS to the card (Pi Zero 2 W, 3, 4, 5)" ;;
    *) say "there are no packages for this processor ($machine); it runs on aarch64 and x86_64" ;;
    esac
    system=$(system)
    [ -n "$system" ] ||
        say "this is $(release PRETTY_NAME || true); it is for Raspberry Pi OS or Debian, 12 (Bookworm) or 13 (Trixie)"
    case $system in debian12) wanted=3.11 ;; debian13) wanted=3.13 ;; *) wanted= ;; esac
    python=$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true)
    if [ -z "$python" ]; then
        say "there is no Python ($PYTHON): sudo apt install python3"
    elif [ -n "$wanted" ] && [ "$python" != "$wanted" ]; then
        say "$PYTHON is Python $python, but that of this system is $wanted: install Debian's own python3"
    elif ! "$PYTHON" -c 'import venv' 2>/dev/null; then
        say "$PYTHON has no venv module: sudo apt install python3-venv"
    elif is_checkout && ! is_bundle && ! "$PYTHON" -c 'import ensurepip' 2>/dev/null; then
        say "out of a checkout it needs pip: sudo apt install python3-venv"
    fi
    for tool in flock useradd usermod groupadd runuser sha256sum timeout; do
        has $tool || say "there is no $tool: sudo apt install passwd util-linux coreutils"
    done
    if is_bundle; then
        if [ "$(fact machine)" != "$machine" ] || { [ -n "$system" ] && [ "$(fact system)" != "$system" ]; }; then
            say "this bundle is for $(fact target); take the one for ${system:-?}-$machine"
        fi
        needed=$(($(fact installed_kb) + SPARE_KB))
        ! is_complete "$VERSIONS/$(identity)" || needed=0
    elif is_checkout; then
        needed=$((400 * 1024))
    else
        say "beside $0 there is neither a bundle nor a checkout: unpack a bundle, and run the install.sh in it"
        needed=0
    fi
    [ -d /opt ] && opt=/opt || opt=/
    free=$(df -Pk "$opt" | awk 'NR == 2 { print $4 }')
    [ "$free" -ge "$needed" ] ||
        say "$opt has $((free / 1024)) MB free, and $((needed / 1024)) MB are needed: sudo apt clean, or a larger card"
    if ! has systemctl && [ ! -d /etc/systemd ] && [ "$action" = check ]; then
        say "there is no systemd: nothing will start the service"
    fi
}

check() {
    found=$(problems)
    [ -n "$found" ] || return 0
    warn "it cannot be installed here yet:"
    printf '%s\n' "$found" | sed 's/^/  - /' >&2
    exit 2
}

# One at a time; whoever holds it lets go when it ends, however it ends.
take_lock() {
    mkdir -p /run/lock
    while :; do
        exec 9>"$LOCK"
        flock -w 120 9 || die "another install is running; wait for it"
        # An uninstall takes the file away: who waited for it holds one that nobody else sees.
        [ "$(stat -L -c %i /proc/self/fd/9)" != "$(stat -c %i "$LOCK" 2>/dev/null)" ] || return 0
    done
}

# shellcheck disable=SC2317  # it is called by the trap
finish() {
    status=$?
    [ -z "$work" ] || rm -rf "$work"
    exit "$status"
}
trap finish EXIT
trap 'warn "interrupted; run it again to finish"; exit 1' HUP INT TERM

# Files that are whole or not there ------------------------------------------------------------------------------------

# put FILE MODE OWNER:GROUP: standard input, in one step.
put() {
    half=$1.new
    rm -f "$half"
    (umask 077 && cat >"$half")
    chmod "$2" "$half"
    chown "$3" "$half"
    sync "$half"
    mv -f "$half" "$1"
    sync "$(dirname "$1")"
}

# point LINK TARGET: the link leads there in one step, and is on the disk.
point() {
    ln -sfn "$2" "$1.new"
    mv -fT "$1.new" "$1"
    sync "$(dirname "$1")"
}

# A version ------------------------------------------------------------------------------------------------------------

runs() { "$1/bin/$NAME" --version >/dev/null 2>&1 && "$1/bin/$NAME" info >/dev/null; }

# Says the name of the bundle's version: what is in it decides.
identity() { echo "$(fact version)-$(sha256sum <"$here/MANIFEST" | cut -c1-12)"; }

make_bundle() {
    say "Getting the packages for $(system)-$(machine) ..."
    rm -rf /var/tmp/$NAME-work.??????  # of an interrupted one
    work=$(mktemp -d /var/tmp/$NAME-work.XXXXXX)
    "$PYTHON" -m venv "$work/venv"
    "$work/venv/bin/python" "$here/bundle.py" --cache "$work/cache" --folder "$work/bundle" "$(system)-$(machine)" ||
        die "the packages could not be had; nothing was changed. Without internet, use a bundle (make bundle)"
    rm -rf "$work/venv" "$work/cache"
    here=$work/bundle
}

# Each step says whether it worked: where the caller asks for that, the shell itself does not stop at a failure.
build() {
    version=$1
    rm -rf "$version" && mkdir -p "$version" || return 1
    "$PYTHON" -m venv --without-pip --system-site-packages "$version" || return 1
    pip=$(echo "$here"/pip/pip-*.whl)
    # Into the environment, whatever apt has: apt may take it away again.
    "$version/bin/python" -I "$pip/pip" --isolated --quiet --disable-pip-version-check --no-input --no-cache-dir install \
        --no-index --find-links "$here/wheels" --no-deps --require-hashes --only-binary=:all: --ignore-installed \
        --no-warn-script-location --root-user-action=ignore -r "$here/requirements.txt" || return 1
    for file in install.sh health.py first_config.py database.py $NAME.service daemon.toml VERSION MANIFEST; do
        cp "$here/$file" "$version/$file" || return 1
    done
    chmod 755 "$version/install.sh" && runs "$version" || return 1
    sync --file-system "$version" || return 1
    : >"$version/complete.new" && mv "$version/complete.new" "$version/complete" && sync "$version/complete" "$version"
}

is_complete() { [ -n "$1" ] && [ -f "$1/complete" ]; }
current() { link "$CURRENT"; }
previous() { link "$PREVIOUS"; }

# Removes every version that is none of these.
keep_only() {
    for version in "$VERSIONS"/*; do
        [ -d "$version" ] || continue
        for kept in "$@"; do
            [ "$version" != "$kept" ] || continue 2
        done
        rm -rf "$version"
    done
}

# The service ----------------------------------------------------------------------------------------------------------

control() { systemctl "$@" 9>&-; }
# The time that the service has to be well begins. Systemd would wait for as long as the unit lets it start.
restart_service() {
    deadline=$(($(seconds) + HEALTH_SECONDS))
    timeout --signal=KILL "$HEALTH_SECONDS" systemctl restart "$NAME.service" 9>&- || true
}
property() { control show --property "$1" --value "$NAME.service" 2>/dev/null || true; }

# Which steps of the database's tables a version knows.
tables() { "$1/bin/python" -I -c 'from edge.daemon.schema import VERSION; print(VERSION)' 2>/dev/null || echo 0; }
database() { "$PYTHON" -I "$here/database.py" "$@"; }

pend() { printf '%s\n' "$1" | put "$PENDING" 644 root:root; }

# switch VERSION keep|restore: to a version, with the database as it is, or as it was before the version that goes. Not
# to be interrupted by a signal, and whole again when run again.
switch() {
    trap '' HUP INT TERM
    known=$(tables "$1")
    was=$(cat "$PENDING" 2>/dev/null || true)
    [ "$2" != keep ] || pend "$1"
    # Only for that it ends earlier than it has to.
    if database "must-$2" "$CONFIG" "$known"; then
        if systemd_runs; then control stop "$NAME.service" || true; fi
        if ! database "$2" "$CONFIG" "$known" && [ "$2" = keep ]; then
            if systemd_runs; then control start "$NAME.service" || true; fi
            if [ -n "$was" ]; then pend "$was"; else rm -f "$PENDING"; fi
            die "nothing was changed"
        fi
    fi
    [ "$2" != keep ] || [ "$old" = "$1" ] || [ -z "$old" ] || point "$PREVIOUS" "$old"
    if [ "$(current)" != "$1" ]; then
        point "$CURRENT" "$1"
    fi
    put "$UNIT" 644 root:root <"$1/$NAME.service"
    if systemd_runs; then
        control daemon-reload
        restart_service
    fi
    trap 'warn "interrupted; run it again to finish"; exit 1' HUP INT TERM
}

# Whether the running service's camera works; says why not.
camera_works() { "$PYTHON" -I "$here/health.py" --camera "$CONFIG"; }

# Whether the running service is well before $deadline, and stays so; says why not in $why.
is_well() {
    well=0
    why="it did not start"
    restarts=
    while :; do
        if control is-active --quiet "$NAME.service" && why=$("$PYTHON" -I "$CURRENT/health.py" "$CONFIG") &&
            { [ -z "$with_camera" ] || why=$(camera_works); }; then
            [ "$(property NRestarts)" = "$restarts" ] || well=0
            restarts=$(property NRestarts)
            [ "$well" -lt "$STEADY_SECONDS" ] || return 0
            well=$((well + 1))
        else
            well=0
            # Systemd has given up: a configuration that cannot be used.
            case $(property ActiveState) in failed) why="it ended at once"; return 1 ;; esac
            # Or starts it over and over.
            times=$(property NRestarts)
            if [ "${times:-0}" -ge "$MOST_RESTARTS" ]; then why="it ended $times times"; return 1; fi
        fi
        [ "$(seconds)" -lt "$deadline" ] || return 1
        sleep 1
    done
}

show_log() {
    has journalctl || return 0
    log=$(journalctl --unit "$NAME.service" --lines 200 --no-pager --output cat 2>/dev/null || true)
    say "What its log says (all of it: sudo journalctl -u $NAME):" >&2
    # What matters may be long before the last lines, which are readings then.
    printf '%s\n' "$log" | grep -iE 'error|fail|cannot|in use|denied|refused|missing' | awk '!seen[$0]++' | tail -n 6 |
        sed 's/^/    /' >&2 || true
    say "and at its end:" >&2
    printf '%s\n' "$log" | tail -n 4 | sed 's/^/    /' >&2
}

# Whether anything but this machine can be asked for packages.
offer_picamera2() {
    [ "$picamera2" = 1 ] || return 0
    if "$PYTHON" -I -c 'import picamera2' 2>/dev/null || dpkg -s python3-picamera2 >/dev/null 2>&1; then return 0; fi
    has apt-get || return 0
    can_have() { [ -n "$(apt-cache --quiet=2 show --no-all-versions python3-picamera2 2>/dev/null)" ]; }
    if ! is_raspberry_pi && ! can_have; then
        say "python3-picamera2 is not in this system's packages: a camera is read by V4L2."
        return 0
    fi
    if [ "$yes" = 0 ]; then
        if [ ! -t 0 ]; then
            say "Without picamera2 a camera module cannot be read. To have it:" \
                "sudo apt install python3-picamera2 --no-install-recommends"
            return 0
        fi
        printf 'Install python3-picamera2, which camera modules need, by apt? [Y/n] '
        read -r answer || answer=n
        case $answer in [nN]*) return 0 ;; esac
    fi
    say "Installing python3-picamera2 ..."
    # Without internet it shall say so soon.
    apt() {
        DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=0 -o Acquire::http::Timeout=15 \
            -o Acquire::https::Timeout=15 -o DPkg::Lock::Timeout=120 "$@" </dev/null >/dev/null 2>"$apt_said" 9>&-
    }
    apt_said=$(mktemp)
    # The lists of packages of a fresh card are empty.
    if is_raspberry_pi; then apt update || true; fi
    if ! apt install -y --no-install-recommends python3-picamera2; then
        tail -n 3 "$apt_said" >&2
        warn "python3-picamera2 could not be installed (no internet?): a camera is read by V4L2." \
            "Later: sudo apt install python3-picamera2 --no-install-recommends, then set source.kind in $CONFIG"
    fi
    rm -f "$apt_said"
}

WHOSE="Edge Digits"  # the comment of the user that is made here
is_our_user() { getent passwd $NAME | grep -q ":$WHOSE:$STATE:"; }

make_user() {
    getent group $NAME >/dev/null || groupadd --system $NAME
    getent passwd $NAME >/dev/null || useradd --system --gid $NAME --home-dir $STATE --no-create-home \
        --shell /usr/sbin/nologin --comment "$WHOSE" $NAME
    for group in video gpio; do
        if getent group $group >/dev/null; then usermod --append --groups $group $NAME; fi
    done
    # The unit names this group.
    getent group video >/dev/null || groupadd --system video
}

make_state() {
    mkdir -p "$STATE" "$ETC"
    place=$(readlink -f "$STATE")  # it may be a link to a disk
    chmod 700 "$place"
    # What an uninstall left belongs to nobody in particular.
    [ "$(stat -c %U "$place")" = $NAME ] || chown -R $NAME:$NAME "$place"
    chown root:root "$ETC"
    chmod 755 "$ETC"
}

make_token() {
    if [ ! -s "$TOKEN" ]; then
        new_token=$("$PYTHON" -I -c 'import secrets; print(secrets.token_hex(16))')
        printf '%s\n' "$new_token" | put "$TOKEN" 600 $NAME:$NAME
    fi
    chown $NAME:$NAME "$TOKEN"
    chmod 600 "$TOKEN"
}

make_config() {
    if [ -e "$CONFIG" ]; then
        # What an uninstall left.
        if [ "$(stat -c %U:%G "$CONFIG")" = root:root ]; then
            chown root:$NAME "$CONFIG"
            chmod g+r "$CONFIG"
        fi
        # It may name the token, and there is none after it was taken away.
        if [ "$("$PYTHON" -I "$1/health.py" --token-file "$CONFIG" 2>/dev/null)" = "$TOKEN" ]; then make_token; fi
        [ -z "$camera" ] || warn "--camera is for the first configuration: $CONFIG stays as it is"
        return 0
    fi
    make_token
    source=$("$1/bin/python" -I "$1/first_config.py" "$1/daemon.toml" "$ETC/.daemon.toml" "$TOKEN" "${camera:-auto}" 9>&-)
    put "$CONFIG" 640 root:$NAME <"$ETC/.daemon.toml"
    rm -f "$ETC/.daemon.toml"
    say "The camera: $source."
    case $source in *demonstration*) say "When there is a camera, set source.kind in $CONFIG." ;; esac
}

start_with_machine() {
    if has systemctl; then
        control --quiet enable "$NAME.service" 2>/dev/null || true
    fi
    if [ ! -e "$WANTS" ]; then
        mkdir -p "$(dirname "$WANTS")"
        ln -sfn "$UNIT" "$WANTS"
    fi
}

show_page() {
    # From the configuration: a service that is well may be too busy right now to be asked once more.
    address=$("$PYTHON" -I "$CURRENT/health.py" --address "$CONFIG" 2>/dev/null) || return 0
    port=${address##*:}
    case $address in
    '') say "The page is off (http.enabled in $CONFIG)." ; return 0 ;;
    *//127.* | *//localhost:* | *//\[::1\]:*)
        say "The page: $address (from this machine alone; http.listen in $CONFIG changes it)"
        return 0
        ;;
    esac
    say
    host=$(uname -n)
    say "The page: http://${host%%.*}.local:$port/"
    for number in $(hostname -I 2>/dev/null || true); do
        case $number in *:*) ;; *) say "     or: http://$number:$port/" ;; esac
    done
    # The daemon logs a link at each start.
    link=$(journalctl --unit "$NAME.service" --no-pager --output cat --since -15min 2>/dev/null |
        sed -n 's/.*the page: \(http[^" ]*login?once=[^" ]*\).*/\1/p' | tail -n 1)
    [ -z "$link" ] || say "Log in without typing, once and within 15 minutes: $link"
    if [ -n "${new_token:-}" ]; then
        say "Its token, which logs in at any time: $new_token"
    fi
    say "To see the token again: sudo cat $TOKEN"
}

# What is asked for ----------------------------------------------------------------------------------------------------

install() {
    check
    take_lock
    if ! is_bundle; then make_bundle; fi
    (cd "$here" && sha256sum --quiet --strict --check MANIFEST) ||
        die "the bundle is damaged; nothing was changed. Copy it again"
    new=$VERSIONS/$(identity)
    old=$(current)
    mkdir -p "$VERSIONS"
    # Switched to, and interrupted before it was known to be well: what was before is what to go back to.
    if [ -f "$PENDING" ] && [ "$(cat "$PENDING")" = "$old" ] && is_complete "$(previous)"; then
        old=$(previous)
    fi
    is_complete "$old" || old=
    # Of an install that ended before its switch: the version before has read on since.
    [ "$old" != "$(current)" ] || database forget "$CONFIG" 2>/dev/null || true
    offer_picamera2
    if is_complete "$new" && runs "$new" 2>/dev/null; then
        say "$(basename "$new") is already here."
    else
        keep_only "$old" "$(current)" "$(previous)"
        say "Installing $(basename "$new") ..."
        build "$new" || { rm -rf "$new"; die "the new version does not run here; nothing was changed"; }
    fi
    make_user
    make_state
    make_config "$new"
    # As the service itself will find it.
    said=$(runuser -u $NAME -- env STATE_DIRECTORY="$STATE" "$new/bin/$NAME" daemon --check --config "$CONFIG" 2>&1) || {
        printf '%s\n' "$said" >&2
        die "the configuration does not fit; $([ -n "$old" ] && echo "the version before goes on" ||
            echo "nothing was started"). Correct $CONFIG and run this again"
    }
    case $(link "$COMMAND") in
    "$BASE"/*) ;;
    *)
        if [ -e "$COMMAND" ]; then
            warn "$COMMAND is somebody else's and stays; the command is $CURRENT/bin/$NAME"
        else
            mkdir -p "$(dirname "$COMMAND")"
            point "$COMMAND" "$CURRENT/bin/$NAME"
        fi
        ;;
    esac
    if [ "$(current)" = "$new" ] && [ ! -f "$PENDING" ] && cmp -s "$new/$NAME.service" "$UNIT"; then
        start_with_machine
        deadline=$(($(seconds) + HEALTH_SECONDS))
        if systemd_runs && ! control is-active --quiet "$NAME.service"; then restart_service; fi
        old=
    else
        # A version that loses the camera is not well.
        if systemd_runs && [ "$old" = "$(current)" ] && camera_works >/dev/null 2>&1; then with_camera=1; fi
        switch "$new" keep
        start_with_machine
    fi
    if ! systemd_runs; then
        rm -f "$PENDING"
        database forget "$CONFIG" || true
        keep_only "$new" "$(previous)"
        say "Installed $(basename "$new"). Systemd does not run here: nothing was started; it starts with the machine."
        return 0
    fi
    say "Waiting until it is well ..."
    if is_well; then
        rm -f "$PENDING"
        database forget "$CONFIG" || true
        keep_only "$new" "$(previous)"
        say "Edge Digits $(fact version) is installed and runs."
        without=$(camera_works) || warn "the camera does not work: $without (source in $CONFIG)"
        show_page
        return 0
    fi
    warn "the service is not well: $why"
    show_log
    if [ -n "$old" ] && [ "$old" != "$new" ]; then
        go_back "$old"
        rm -rf "$new"
    else
        warn "it stays installed; correct what is wrong (the configuration is $CONFIG), then run this again"
    fi
    return 1
}

go_back() {
    warn "going back to $(basename "$1")"
    switch "$1" restore
    rm -f "$PREVIOUS" "$PENDING"
    database forget "$CONFIG" || true
    with_camera=
    if ! systemd_runs; then
        warn "$(basename "$1") is in use again; systemd does not run here: nothing was started"
    elif is_well; then
        warn "$(basename "$1") runs again"
    else
        warn "$(basename "$1") is not well either: $why"
        return 1
    fi
}

rollback() {
    [ "$(id -u)" = 0 ] || refuse "it needs root: sudo $0 rollback"
    take_lock
    before=$(previous)
    if ! is_complete "$before" || [ "$before" = "$(current)" ]; then die "there is no version before to go back to"; fi
    database fits "$CONFIG" "$(tables "$before")" || die "nothing was changed"
    go_back "$before"
}

# A folder, or what a link to one leads to, and the link.
wipe() {
    if [ -L "$1" ] && [ -d "$1" ]; then find "$1/" -mindepth 1 -delete; fi
    rm -rf "$1"
}

uninstall() {
    [ "$(id -u)" = 0 ] || refuse "it needs root: sudo $0 uninstall"
    take_lock
    elsewhere=$("$PYTHON" -I "$here/health.py" --state "$CONFIG" 2>/dev/null || true)
    if has systemctl; then
        if systemd_runs; then control stop "$NAME.service" 2>/dev/null || true; fi
        control --quiet disable "$NAME.service" 2>/dev/null || true
    fi
    rm -f "$WANTS" "$UNIT" "$UNIT.new"
    if systemd_runs; then
        control daemon-reload
        control reset-failed "$NAME.service" 2>/dev/null || true
    fi
    case $(link "$COMMAND") in "$BASE"/*) rm -f "$COMMAND" ;; esac
    rm -f "$COMMAND.new"
    if [ "$purge" = 1 ]; then
        wipe "$STATE"
        wipe "$ETC"
        rm -rf "$UNIT.d"
    else
        # The user goes, and its number may become somebody else's.
        for left in "$STATE" "$TOKEN" "$CONFIG"; do
            [ ! -e "$left" ] || chown -R root:root "$(readlink -f "$left")"
        done
    fi
    if is_our_user; then
        if said=$(userdel $NAME 2>&1); then
            if getent group $NAME >/dev/null; then groupdel $NAME || true; fi
        else
            warn "the user $NAME stays ($said); when nothing of it runs any more: sudo userdel $NAME"
        fi
    fi
    rm -rf /var/tmp/$NAME-work.??????
    # What runs this may lie in there, so it goes last.
    wipe "$BASE"
    if [ "$purge" = 1 ]; then
        say "Edge Digits is gone, with its readings and its configuration."
    else
        say "Edge Digits is gone; uninstall --purge removes what else there is."
        [ ! -e "$STATE" ] || say "Its readings are in $STATE."
        [ ! -e "$CONFIG" ] || say "Its configuration is in $ETC."
    fi
    if [ -n "$elsewhere" ] && [ -e "$elsewhere" ]; then
        say "Its configuration kept the readings in $elsewhere: they stay there."
    fi
    rm -f "$LOCK"
}

case $action in
install) install ;;
check) check; say "Nothing is missing." ;;
rollback) rollback ;;
uninstall) uninstall ;;
esac
exit
