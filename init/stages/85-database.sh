# The database before another version of the system starts: a snapshot on the way forward, put back on the way back.
# Without slots nobody goes back, and nobody confirms.

. "${INIT:-${ROOT:-}/run/kubesolo-init}/lib/stage.sh"

kind=
read -r kind _ 2>/dev/null <"$STATE/medium" || :
if [ "$kind" = disk ]; then
    . "$SHARE/network.sh"
    . "$SHARE/database.sh"
    # Secrets are in it.
    umask 077
    keep_database || complain database 'the database of the last version could not be put back or kept: see the boot log'
elif [ -e "$DATA/kubesolo/.version" ]; then
    # What runs now may be any version.
    rm -rf "$DATA/kubesolo/.version" "$DATA/update/snapshots"
fi
stage_complete 85-database.sh
