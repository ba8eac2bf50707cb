# The payload's flags from several sources; the first source that names a flag wins.

TAB='	'
RETURN=$(printf '\r')

# Sets FLAGS to the arguments, one a line, and COMMAND_LINE to the same for the log. The Edge credentials are
# no arguments, which every process list shows: they end up in KUBESOLO_EDGE_ID and KUBESOLO_EDGE_KEY, unless
# those are set already.
# collect_flags TEXT FILE FILE TEXT: boot parameters, extra-flags, cloud-init, defaults.
collect_flags() {
    FLAGS=
    COMMAND_LINE=
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

# add_flags TEXT: words, or --flag,--flag; a word that is no flag is the value of the one before it. Double quotes
# protect blanks, as on the kernel's command line; a carriage return is an editor's.
add_flags() {
    text=$1
    while :; do
        case $text in
        *,--*) text="${text%%,--*} --${text#*,--}" ;;
        *) break ;;
        esac
    done
    batch=' '
    keep=
    text=${text//"$TAB"/ }
    for_each_parameter add_word "${text//"$RETURN"/ }"
    NAMES="$NAMES$batch"
}

add_word() {
    case $1 in
    --apiserver-extra-sans=*) add_sans "${1#*=}" ;;
    --apiserver-extra-sans) keep=sans ;;
    --portainer-edge-id=*) : "${KUBESOLO_EDGE_ID:=${1#*=}}" ;;
    --portainer-edge-key=*) : "${KUBESOLO_EDGE_KEY:=${1#*=}}" ;;
    --portainer-edge-id | --portainer-edge-key) keep=$1 ;;
    --*) add_flag "$1" ;;
    *) add_value "$1" ;;
    esac
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
    --portainer-edge-id) : "${KUBESOLO_EDGE_ID:=$1}" ;;
    --portainer-edge-key) : "${KUBESOLO_EDGE_KEY:=$1}" ;;
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
    COMMAND_LINE="$COMMAND_LINE $1"
    FLAGS="$FLAGS${FLAGS:+
}$1"
}
