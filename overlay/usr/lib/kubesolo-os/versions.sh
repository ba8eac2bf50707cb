# Which of two versions is the newer one (Semantic Versioning 2.0.0, 11), for scripts; agent/update has its own.

# is_newer ONE OTHER
is_newer() {
    one=${1%%+*} other=${2%%+*}
    compare_parts "${one%%-*}" "${other%%-*}"
    [ "$ORDER" = 0 ] || { [ "$ORDER" = 1 ]; return; }
    # A pre-release comes before its release.
    case $one/$other in
    *-*/*-*) compare_parts "${one#*-}" "${other#*-}" ;;
    */*-*) ORDER=1 ;;
    esac
    [ "$ORDER" = 1 ]
}

# compare_parts ONE OTHER: sets ORDER to -1, 0 or 1, by the first parts between dots that differ.
compare_parts() {
    ones=$1. others=$2. ORDER=0
    while [ "$ORDER" = 0 ] && [ -n "$ones$others" ]; do
        compare_part "${ones%%.*}" "${others%%.*}"
        ones=${ones#*.} others=${others#*.}
    done
}

# Numbers come before words, and nothing before both.
# shellcheck disable=SC3012 # ash compares texts
compare_part() {
    [ "$1" != "$2" ] || return 0
    ORDER=-1
    case $1/$2 in
    /*) ;;
    */) ORDER=1 ;;
    *[!0-9]*/*[!0-9]*) [ ! "$1" \> "$2" ] || ORDER=1 ;;
    *[!0-9]*/*) ORDER=1 ;;
    */*[!0-9]*) ;;
    *) [ "$1" -lt "$2" ] || ORDER=1 ;;
    esac
}
