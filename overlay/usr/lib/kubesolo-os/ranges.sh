# The cluster's own ranges of addresses, pods and services, beside the network that the node is in.
# Sourced after network.sh and ipv4.sh; $STATE/prefix ("INTERFACE ADDRESS/LENGTH") is the node's network.

POD_RANGES='10.42.0.0/16 10.142.0.0/16 172.20.0.0/16'
SERVICE_RANGES='10.43.0.0/16 10.143.0.0/16 172.21.0.0/16'

# Sets NETWORK to the node's network, ADDRESS/LENGTH; fails while it has none.
node_network() {
    read -r _ NETWORK 2>/dev/null <"$STATE/prefix"
}

# Sets RANGE_FLAGS to flags for ranges that are not the node's network's, on a node that is about to make its
# cluster. A cluster that is there has its ranges for ever, and remembers them.
choose_ranges() {
    RANGE_FLAGS=
    cluster=${ROOT:-}/var/lib/kubesolo
    if [ -e "$cluster/networks.json" ] || [ -e "$cluster/db/state.db" ]; then
        return 0
    fi
    node_network || return 0
    free_range "$POD_RANGES"
    [ "$RANGE" = "${POD_RANGES%% *}" ] || RANGE_FLAGS=" --pod-cidr=$RANGE"
    free_range "$SERVICE_RANGES"
    [ "$RANGE" = "${SERVICE_RANGES%% *}" ] || RANGE_FLAGS="$RANGE_FLAGS --service-cidr=$RANGE"
}

# Sets RANGE to the first that has nothing in common with the node's network, else to the first.
free_range() {
    for RANGE in $1; do
        prefixes_overlap "$NETWORK" "$RANGE" || return 0
    done
    RANGE=${1%% *}
}

# Sets RANGES to those that the cluster was made with, or will be by the payload's command line.
cluster_ranges() {
    pods=${POD_RANGES%% *}
    services=${SERVICE_RANGES%% *}
    value_of=
    while IFS= read -r argument; do
        case $value_of$argument in
        --pod-cidr=* | --pod-cidr/*) pods=${argument#*=} ;;
        --service-cidr=* | --service-cidr/*) services=${argument#*=} ;;
        esac
        value_of=
        case $argument in
        --pod-cidr | --service-cidr) value_of=$argument/ ;;
        esac
    done <"$STATE/payload.args"
    made=
    read -r made 2>/dev/null <"${ROOT:-}/var/lib/kubesolo/networks.json" || :
    case $made in
    *'"pods":"'*'"services":"'*)
        pods=${made#*'"pods":"'}
        services=${made#*'"services":"'}
        ;;
    esac
    RANGES="${pods%%\"*} ${services%%\"*}"
}

# Pods and services hide whatever has the same addresses outside.
compare_with_ranges() {
    node_network || return 0
    cluster_ranges
    for range in $RANGES; do
        # An operator's flag may hold anything; the payload refuses it with words.
        if valid_ipv4 "${range%/*}" && prefix_length "${range#*/}" && prefixes_overlap "$NETWORK" "$range"; then
            complain ranges "the node's network ($NETWORK) and the cluster's own $range overlap: outside, what is in both cannot be reached"
            return 0
        fi
    done
    settle ranges
}
