# The configuration file: where it lies, and what was made of it. Sourced by stage 45 after network.sh.
# $STATE/cloud-init holds what the other stages read: network.sh, hostname, flags, payload.env, ntp and more,
# as agent/config writes it.

. "$SHARE/sticks.sh"

RESULT=$STATE/cloud-init
# What was made of each content that was seen last; `current` names the folder that is in force.
KEPT=$DATA/etc-kubesolo/.config
DEFAULT_FILE=/mnt/data/etc-kubesolo/cloud-init.yaml
# A larger file is no configuration; agent/config says so.
LONGEST_KB=1025
# Hundredths of a second that a stick may take to come up.
STICK_TIMEOUT=500
# Hundredths of a second within which a server has to answer.
FETCH_TIMEOUT=${FETCH_TIMEOUT:-4500}

# find_configuration: sets FORM (file, url, nocloud, stick; lost or none without one), PLACE to a file or folder, and
# ORIGIN to where it comes from in words. A boot parameter goes first, then the data partition, a NoCloud medium,
# a KSOLOCONF stick.
find_configuration() {
    FORM=none PLACE='' ORIGIN=''
    case $KUBESOLO_CLOUDINIT in
    http://* | https://*)
        take_url
        return 0
        ;;
    esac
    if [ "$KUBESOLO_CLOUDINIT" != "$DEFAULT_FILE" ]; then
        ! take_file "${ROOT:-}$KUBESOLO_CLOUDINIT" "kubesolo.cloudinit=$KUBESOLO_CLOUDINIT" || return 0
        FORM=lost
        complain config "kubesolo.cloudinit=$KUBESOLO_CLOUDINIT: there is no such file"
    elif ! take_file "$DATA/etc-kubesolo/cloud-init.yaml" 'the data partition'; then
        wait_for_sticks
        for label in CIDATA cidata KSOLOCONF; do
            ! find_medium_labelled "$label" || ! take_medium "$label" || return 0
        done
    fi
}

take_file() {
    [ -f "$1" ] || return 1
    FORM=file PLACE=$1 ORIGIN=$2
}

# URL#sha256=HEX: whoever serves it is not trusted, the digest is.
take_url() {
    URL=${KUBESOLO_CLOUDINIT%%#*}
    URL_DIGEST=${KUBESOLO_CLOUDINIT#*#sha256=}
    ORIGIN=$URL PLACE=$STATE/config/cloud-init.yaml FORM=lost
    case $URL_DIGEST in
    *[!0-9a-fA-F]*) ;;
    ????????????????????????????????????????????????????????????????) FORM=url ;;
    esac
    [ "$FORM" = url ] || complain config "kubesolo.cloudinit=$URL: needs the file's digest behind it: #sha256=<64 hexadecimal digits>"
}

# fetch_url: the network comes up by DHCP for it, whatever the file then says of the network.
fetch_url() {
    mkdir -p "${PLACE%/*}"
    . "$SHARE/ipv4.sh"
    start_dhcp
    read_uptime
    deadline=$((NOW + FETCH_TIMEOUT))
    until (umask 077 && wget -q -T 10 -O - "$URL" 2>/dev/null | head -c $((LONGEST_KB * 1024)) >"$PLACE" && [ -s "$PLACE" ]); do
        read_uptime
        if [ "$NOW" -ge "$deadline" ]; then
            complain config "$URL can not be fetched"
            return 1
        fi
        sleep 1
    done
    sum=$(sha256sum <"$PLACE")
    [ "${sum%% *}" = "$(printf '%s' "$URL_DIGEST" | tr A-F a-f)" ] && return 0
    complain config "$URL is not the file of #sha256=: its SHA-256 is ${sum%% *}"
    return 1
}

# A stick that holds the configuration counts as much as the one that holds the data.
wait_for_sticks() {
    read_uptime
    deadline=$((NOW + STICK_TIMEOUT))
    while storage_coming_up && [ "$NOW" -lt "$deadline" ]; do
        sleep 0.1
        read_uptime
    done
}

# take_medium LABEL: copies the files of MEDIUM_PATH, so that it can be pulled.
take_medium() {
    PLACE=$STATE/config
    mkdir -p "$PLACE"
    if ! mount_stick; then
        complain config "$MEDIUM_PATH ($1) can not be mounted"
        return 1
    fi
    FORM=none
    for file in user-data meta-data network-config cloud-init.yaml; do
        [ ! -f "$STICK/$file" ] || copy_part "$STICK/$file"
    done
    umount "$STICK"
    ORIGIN="$MEDIUM_PATH ($1)"
    case $1/$FORM in
    */none) complain config "$ORIGIN has none of the files of a configuration" && return 1 ;;
    KSOLOCONF/stick) PLACE=$PLACE/cloud-init.yaml ;;
    *) FORM=nocloud ;;
    esac
}

copy_part() {
    (umask 077 && dd if="$1" of="$PLACE/${1##*/}" bs=1024 count=$LONGEST_KB 2>/dev/null) || return 0
    case $1 in
    */cloud-init.yaml) FORM=stick ;;
    *) [ "$FORM" = stick ] || FORM=nocloud ;;
    esac
}

# Sets DIGEST to what stands for the configuration and for the version of who reads it.
digest_configuration() {
    if [ "$FORM" = url ]; then
        DIGEST=$( (printf '%s\n' "$URL_DIGEST" && cat "${ROOT:-}/usr/lib/os-release") | sha256sum) || return 1
        DIGEST=url-${DIGEST%% *}
        return 0
    fi
    if [ -d "$PLACE" ]; then
        set -- "$PLACE"/*
    else
        set -- "$PLACE"
    fi
    # shellcheck disable=SC3040 # ash has pipefail; without it a file that can not be read has the digest of an empty one
    DIGEST=$(set -o pipefail; cat "$@" "${ROOT:-}/usr/lib/os-release" 2>/dev/null | sha256sum) || return 1
    DIGEST=$FORM-${DIGEST%% *}
}

# What was made before of the same content is taken as it is. A file that was taken away is no configuration any
# more; a medium that was pulled leaves its own in force.
apply_configuration() {
    read_current
    case $FORM/$current in
    none/ | lost/) ;;
    none/file-*)
        info 'the configuration file has gone: the defaults are in force'
        rm -rf "$KEPT"
        ;;
    none/* | lost/*) use_last ;;
    *) apply_found ;;
    esac
    say_problems
}

apply_found() {
    if ! digest_configuration; then
        complain config "$ORIGIN can not be read"
        use_last
    elif [ "$DIGEST" = "$current" ]; then
        copy_result "$KEPT/$current"
    elif [ "$FORM" = url ] && ! fetch_url; then
        use_last
    else
        make_result
    fi
}

# Sets current to the folder of what is in force, or to nothing.
read_current() {
    current=
    read -r current 2>/dev/null <"$KEPT/current" || :
    [ -d "$KEPT/$current" ] || current=
}

use_last() {
    [ -n "$current" ] || return 0
    info 'the last configuration stays in force'
    copy_result "$KEPT/$current"
}

copy_result() { mkdir -p "$RESULT" && cp -R "$1/." "$RESULT/"; }

# Reading takes Python a second on small machines: stage 20 begins with a file on the data partition that was not
# read before, and the drivers of stage 30 are loaded beside it.
begin_reading() {
    [ "$KUBESOLO_CLOUDINIT" = "$DEFAULT_FILE" ] && take_file "$DATA/etc-kubesolo/cloud-init.yaml" 'the data partition' || return 0
    read_current
    digest_configuration && [ "$DIGEST" != "$current" ] || return 0
    read_first &
    printf '%s %s\n' "$DIGEST" $! >"$STATE/config.begun"
}

# The stages wait for it: it goes before what is read ahead and loaded for later.
read_first() {
    if read -r own _ <"${ROOT:-}/proc/self/stat"; then renice -n -10 -p "$own" >/dev/null 2>&1; fi
    read_configuration
}

# take_begun: whether it was the file that counts; waits for it.
take_begun() {
    read -r begun reader 2>/dev/null <"$STATE/config.begun" || return 1
    rm -f "$STATE/config.begun"
    while [ -d "${ROOT:-}/proc/$reader" ]; do sleep 0.05; done
    [ "$begun" = "$DIGEST" ] && [ -s "$STATE/config.status" ]
}

# Reads the configuration with Python: its results into config.new, the exit status into config.status.
read_configuration() {
    rm -rf "$STATE/config.new" "$STATE/config.status"
    set -- --out "$STATE/config.new"
    [ -z "$current" ] || set -- "$@" --last-good "$KEPT/$current"
    if [ "$FORM" = nocloud ]; then
        for part in user-data meta-data network-config; do
            [ ! -f "$PLACE/$part" ] || set -- "$@" "--$part" "$PLACE/$part"
        done
    else
        set -- "$@" --file "$PLACE"
    fi
    status=0
    # Not with -m: Python's own search for a module to run takes a tenth of its start.
    python3 -I -S -c 'import sys; from agent import apply; sys.exit(apply.main(sys.argv[1:]))' "$@" >"$STATE/config.log" 2>&1 || status=$?
    echo "$status" >"$STATE/config.status"
}

# What is read once for each content.
make_result() {
    take_begun || read_configuration
    read -r status <"$STATE/config.status"
    # 3: something in it is wrong, and all else applies.
    case $status in
    0 | 3) ;;
    *) rm -rf "$STATE/config.new" ;;
    esac
    if [ -d "$STATE/config.new" ]; then
        copy_result "$STATE/config.new"
        keep_result
    else
        complain config "the configuration from $ORIGIN can not be applied: $(tail -n 1 "$STATE/config.log")"
        use_last
    fi
    milestone config-applied
}

# Content first, then the name: after a power cut it is read once more.
keep_result() {
    if ! mkdir -p "$KEPT" || ! rm -rf "${KEPT:?}/$DIGEST" || ! cp -R "$STATE/config.new" "$KEPT/$DIGEST" || ! sync ||
        ! write_durable "$KEPT/current" "$DIGEST
"; then
        warn 'what was made of the configuration can not be kept; it is read again at the next boot'
    fi
    for old in "$KEPT"/file-* "$KEPT"/nocloud-* "$KEPT"/stick-* "$KEPT"/url-*; do
        [ "$old" = "$KEPT/$DIGEST" ] || rm -rf "$old"
    done
}

# The first few on the console; all are in the boot log.
say_problems() {
    [ -s "$RESULT/problems" ] || { settle config; return 0; }
    count=0
    while IFS= read -r problem; do
        count=$((count + 1))
        if [ "$count" -le 5 ]; then warn "$problem"; else printf '%s\n' "$problem" >&2; fi
        [ "$count" -gt 1 ] || first=$problem
    done <"$RESULT/problems"
    mkdir -p "$STATE/problems"
    more=
    [ "$count" -le 1 ] || more=" (and $((count - 1)) more; kubesolo-os validate shows all)"
    printf '%s\n' "configuration: $first$more" >"$STATE/problems/config"
}
