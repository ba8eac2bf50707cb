# The payload's flags from several sources; the first source that names a flag wins.

# Sets FLAGS to the arguments, one a line.
# collect_flags TEXT FILE FILE TEXT: boot parameters, extra-flags, cloud-init, defaults.
collect_flags() {
    FLAGS=
    NAMES=' '
    SANS=
    add_flags "$1"
    for file in "$2" "$3"; do
        [ -r "$file" ] || continue
        while IFS= read -r line || [ -n "$line" ]; do
            case $line in
            '#'*) ;;
            *) add_flags "$line" ;;
            esac
        done <"$file"
    done
    add_flags "$4"
    add_line "--apiserver-extra-sans"
    add_line "$SANS"
}

# add_flags TEXT: words, or --flag,--flag; a word that is no flag is the value of the one before it.
add_flags() {
    text=$1
    while :; do
        case $text in
        *,--*) text="${text%%,--*} --${text#*,--}" ;;
        *) break ;;
        esac
    done
    set -f
    # shellcheck disable=SC2086 # split into words
    set -- $text
    set +f
    batch=' '
    keep=
    for word; do
        case $word in
        --apiserver-extra-sans=*) add_sans "${word#*=}" ;;
        --apiserver-extra-sans) keep=sans ;;
        --*) add_flag "$word" ;;
        *) add_value "$word" ;;
        esac
    done
    NAMES="$NAMES$batch"
}

# A flag that an earlier source has named is dropped with its value.
add_flag() {
    flag=${1%%=*}
    case $NAMES in
    *" $flag "*) keep= ;;
    *)
        keep=yes
        batch="$batch$flag "
        add_line "$1"
        ;;
    esac
}

add_value() {
    case $keep in
    sans) add_sans "$1" ;;
    yes) add_line "$1" ;;
    esac
    keep=
}

# Names of all sources count: they add up.
add_sans() {
    list=$1,
    while [ -n "$list" ]; do
        san=${list%%,*}
        list=${list#*,}
        case ",$SANS," in
        *",$san,"*) ;;
        *) SANS=$SANS${SANS:+,}$san ;;
        esac
    done
}

add_line() {
    FLAGS="$FLAGS${FLAGS:+
}$1"
}

# Sets REDACTED to the flags in one line without what must not be logged.
redact_flags() {
    REDACTED=
    hide=
    set -f
    # shellcheck disable=SC2086 # arguments have no blanks
    set -- $FLAGS
    set +f
    for word; do
        case $word in
        --portainer-edge-key=* | --portainer-edge-id=*) word="${word%%=*}=***" ;;
        --portainer-edge-key | --portainer-edge-id) hide=next ;;
        *) [ "$hide" != now ] || word='***' ;;
        esac
        case $hide in
        next) hide=now ;;
        *) hide= ;;
        esac
        REDACTED="$REDACTED${REDACTED:+ }$word"
    done
}
