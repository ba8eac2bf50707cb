# How is the node? The one place that knows; sourced by the status screen and the consoles' service, which set STATE,
# and by whoever asks whether an update may stay. Looking costs no fork.

# milestone_reached NAME: the payload notes what it has reached; only what it has since it was started counts.
milestone_reached() {
    reached=1
    [ -r "${ROOT:-}/run/kubesolo/milestones" ] || return 1
    while read -r name _; do
        case $name in
        payload-exec) reached=1 ;;
        "$1") reached=0 ;;
        esac
    done <"${ROOT:-}/run/kubesolo/milestones"
    return $reached
}

payload_runs() {
    process=
    read -r process 2>/dev/null <"${ROOT:-}/run/kubesolo/payload.pid" || return 1
    kill -0 "$process" 2>/dev/null
}

# The data partition still takes a write that really reaches it.
data_is_writable() {
    probe=${ROOT:-}/mnt/data/.health-probe
    dd if=/dev/zero of="$probe" bs=1024 count=1 conv=fsync 2>/dev/null && rm -f "$probe"
}

# Sets HOST, VERSION, ADDRESS and INTERFACE (empty without one), DATA_KIND and STATUS in words. STATUS starts with
# Ready only when everything that is known about is well now; else it names the first thing that is not.
read_health() {
    HOST='' VERSION=''
    read -r HOST 2>/dev/null <"$STATE/etc/hostname" || :
    while IFS='=' read -r key value; do
        [ "$key" != PRETTY_NAME ] || VERSION=${value//\"/}
    done <"${ROOT:-}/usr/lib/os-release"
    read_address
    read_data
    read_uptime
    first_trouble
}

# The address on the dummy interface is nobody's.
read_address() {
    ADDRESS='' INTERFACE=''
    read -r INTERFACE ADDRESS 2>/dev/null <"$STATE/address" || :
    [ "$INTERFACE" != kubesolo0 ] || ADDRESS='' INTERFACE=''
}

# Sets DATA_KIND for people and DATA_TROUBLE when nothing more can be kept.
read_data() {
    kind=memory DATA_TROUBLE='' data_options=''
    read -r kind _ 2>/dev/null <"$STATE/data" || :
    DATA_KIND='on the data partition'
    [ "$kind" != memory ] || DATA_KIND='RAM ONLY: all is lost at the next reboot'
    while read -r _ point _ options _; do
        [ "$point" != /mnt/data ] || data_options=,$options,
    done <"${ROOT:-}/proc/mounts"
    case $data_options in
    *,ro,*) DATA_TROUBLE='the data partition is read-only' DATA_KIND='READ-ONLY: nothing can be kept' ;;
    *)
        # watch-space says so.
        [ ! -e "$STATE/data-full" ] || DATA_TROUBLE='the data partition is full' DATA_KIND='FULL: delete images or volumes'
        ;;
    esac
}

# In the order in which one thing rests on the other.
first_trouble() {
    STATUS=
    if ! payload_runs; then
        payload_ended
    elif [ -n "$DATA_TROUBLE" ]; then
        STATUS="NOT WELL: $DATA_TROUBLE"
    elif [ -r "$STATE/payload.health" ]; then
        payload_words
    else
        starting
    fi
    [ -n "$ADDRESS" ] || STATUS="${STATUS:+$STATUS; }no network address"
}

# A payload that has ended once is starting; one that ends again and again is in trouble.
payload_ended() {
    crashes=0
    read -r crashes code next 2>/dev/null <"$STATE/payload.ended" || :
    if [ "${crashes:-0}" -ge 1 ]; then
        STATUS="NOT WELL: Kubernetes ended ($crashes in a row, status $code), next start at ${next} s"
    elif [ -s "$STATE/run-payload.pid" ]; then
        STATUS='Kubernetes is about to start'
    else
        STATUS='booting'
    fi
    [ -z "$DATA_TROUBLE" ] || STATUS="NOT WELL: $DATA_TROUBLE; ${STATUS#NOT WELL: }"
}

# The payload's own words, "<uptime in seconds> <words>", from its look every few seconds. Old ones count for nothing.
payload_words() {
    seconds='' words=''
    read -r seconds words 2>/dev/null <"$STATE/payload.health" || :
    if [ $((NOW / 100 - ${seconds:-0})) -gt "${HEALTH_SECONDS:-60}" ]; then
        STATUS='NOT WELL: Kubernetes does not say how it is'
    elif [ "$words" = ok ]; then
        STATUS=Ready
    else
        STATUS="NOT READY: $words"
    fi
}

# Before the payload can say how it is, its milestones do.
starting() {
    STATUS='Kubernetes starts'
    ! milestone_reached apiserver-listening || STATUS='Kubernetes starts: the API server listens'
    crashes=0
    read -r crashes _ 2>/dev/null <"$STATE/payload.ended" || :
    [ "${crashes:-0}" -lt 2 ] || STATUS="NOT WELL: Kubernetes ended $crashes times in a row, and starts again"
}
