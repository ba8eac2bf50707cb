# Settings of updates that scripts need; all of them are the updater's (agent/update). What an operator has written
# into /etc/kubesolo/update.conf goes before what the configuration file says. Lines "key = value", sourced never.

CARRIAGE_RETURN=$(printf '\r')

# Sets AUTO_ROLLBACK_AFTER (seconds; 0: no deadline), PROBE_URL, CA, CHANNEL and METRICS (yes, no; empty: as the medium has it).
read_update_conf() {
    AUTO_ROLLBACK_AFTER=600 PROBE_URL='' CA='' CHANNEL=stable METRICS=
    # The last is what the command line of an activation has said for its trial.
    for update_conf in "$STATE/cloud-init/update.conf" "${ROOT:-}/etc/kubesolo/update.conf" \
        "${ROOT:-}/mnt/data/update/trial.conf"; do
        [ -r "$update_conf" ] || continue
        while IFS='= ' read -r key value || [ -n "$key" ]; do
            take_update_setting
        done <"$update_conf"
    done
}

# As agent/update/conf.py: quotes and what editors of other systems leave at the end do not count.
take_update_setting() {
    value=${value%"$CARRIAGE_RETURN"}
    value=${value#[\"\']}
    value=${value%[\"\']}
    case $key/$value in
    auto-rollback-after/ | auto-rollback-after/*[!0-9]* | auto-rollback-after/0?* | auto-rollback-after/???????*) warn "$update_conf: $key: not a number of seconds" ;;
    auto-rollback-after/*) AUTO_ROLLBACK_AFTER=$value ;;
    probe-url/*) PROBE_URL=$value ;;
    channel/?*) CHANNEL=$value ;;
    ca/*) CA=$value ;;
    metrics/yes | metrics/true) METRICS=yes ;;
    metrics/no | metrics/false) METRICS=no ;;
    metrics/*) warn "$update_conf: $key: neither yes nor no" ;;
    esac
}
