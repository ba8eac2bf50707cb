# The database before another version of the system starts: a snapshot on the way forward, put back on the way back.

. "${INIT:-${ROOT:-}/run/kubesolo-init}/lib/stage.sh"
. "$SHARE/network.sh"
. "$SHARE/database.sh"

# Secrets are in it.
umask 077
keep_database || complain database 'the database of the last version could not be put back or kept: see the boot log'
stage_complete 85-database.sh
