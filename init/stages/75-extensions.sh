# Extensions: squashfs images on the data partition that the configuration lists with their digests, merged
# read-only with /usr/local. One that is missing or damaged is skipped and said; the node starts without it.

. "${INIT:-${ROOT:-}/run/kubesolo-init}/lib/stage.sh"

LIST=$STATE/cloud-init/extensions
LOWER=

# add_extension DIGEST PATH
add_extension() {
    name=${2##*/}
    point=$STATE/extensions/${name%.squashfs}
    if [ ! -f "${ROOT:-}$2" ]; then
        complain "extension-$name" "extension $2 is not there: skipped"
    elif sum=$(sha256sum <"${ROOT:-}$2") && [ "${sum%% *}" != "$1" ]; then
        complain "extension-$name" "extension $2 is not the one of the configuration (its SHA-256 is ${sum%% *}): skipped"
    elif ! mkdir -p "$point" || ! mount -t squashfs -o loop,ro,nosuid,nodev "${ROOT:-}$2" "$point"; then
        complain "extension-$name" "extension $2 can not be mounted: skipped"
    else
        LOWER=$LOWER:$point
        info "extension $name"
    fi
}

# What the operator has put there goes before them.
merge_extensions() {
    . "$SHARE/network.sh"
    while read -r digest path; do
        add_extension "$digest" "$path"
    done <"$LIST"
    [ -n "$LOWER" ] || return 0
    mount -t overlay -o "ro,nosuid,nodev,lowerdir=$DATA/usr-local$LOWER" extensions "${ROOT:-}/usr/local" ||
        complain extensions 'extensions can not be merged with /usr/local: skipped'
}

[ ! -s "$LIST" ] || merge_extensions
stage_complete 75-extensions.sh
