# Kernel settings from /etc/sysctl.d: "key = value" lines, # or ; starts a comment (sysctl.d(5)).

. "${INIT:-${ROOT:-}/run/kubesolo-init}/lib/stage.sh"

# apply_line KEY VALUE: written directly; a fork for each key would cost more than the stage.
apply_line() {
    path=${ROOT:-}/proc/sys
    rest=$1
    while :; do
        path=$path/${rest%%.*}
        case $rest in
        *.*) rest=${rest#*.} ;;
        *) break ;;
        esac
    done
    if [ -e "$path" ]; then
        { printf '%s\n' "$2" >"$path"; } 2>/dev/null || warn "sysctl $1 = $2 was refused"
    else
        warn "sysctl $1 does not exist in this kernel"
    fi
}

for file in "${ROOT:-}"/etc/sysctl.d/*.conf; do
    [ -r "$file" ] || continue
    while IFS='= ' read -r key value; do
        case $key in
        '' | '#'* | ';'*) ;;
        *) apply_line "$key" "$value" ;;
        esac
    done <"$file"
done
# Huge pages for those who ask: of one that a program has given back in part, the kernel keeps the whole,
# which was 120 MB with the payload's heap.
huge=${ROOT:-}/sys/kernel/mm/transparent_hugepage/enabled
[ ! -w "$huge" ] || echo madvise >"$huge" || warn 'transparent huge pages stay as they are'
stage_complete 40-sysctl.sh
