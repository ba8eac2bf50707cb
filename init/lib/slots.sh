# A disk with two slots: its partitions, its first partition's files, and what becomes of a boot that fails.
# The table of partitions and the boot counter are described in docs/deployment.md and boot/slots.cfg.

ESP=${ROOT:-}/run/kubesolo/esp
ALONE_SECONDS=120

# booted_slot: whether this boot comes from a slot of a disk; sets DISK to that disk's name.
booted_slot() {
    kind=
    read -r kind booted 2>/dev/null <"${ROOT:-}/run/kubesolo/medium" || :
    [ "$kind" = disk ] || return 1
    find_disk "$booted"
}

# is_slot NAME: whether this partition is one of a disk's two slots.
is_slot() {
    read_partition_name "$1"
    case $PARTITION_NAME in
    KSOLOA | KSOLOB) return 0 ;;
    esac
    return 1
}

# nth_partition DISK NUMBER: sets PARTITION to its name.
nth_partition() {
    for path in "${ROOT:-}/sys/class/block/$1"/*/partition; do
        number=
        read -r number 2>/dev/null <"$path" || :
        path=${path%/partition}
        PARTITION=${path##*/}
        [ "$number" != "$2" ] || return 0
    done
    PARTITION=
    return 1
}

# GRUB writes its boot counter without a flush: until there is one, a power cut may take it back. fsync of a disk
# is one, even when nothing of it is in memory.
flush_counter() {
    booted_slot || return 0
    sync "${ROOT:-}/dev/$DISK" 2>/dev/null || warn "/dev/$DISK could not be flushed"
}

# mount_esp: the first partition of the booted disk, at $ESP.
mount_esp() {
    booted_slot && nth_partition "$DISK" 1 || return 1
    mkdir -p "$ESP"
    mount -t vfat -o rw,nosuid,nodev,noexec,noatime "${ROOT:-}/dev/$PARTITION" "$ESP"
}

# Nobody at the keyboards of an unattended node: it starts over, and GRUB counts. Whoever types stays: a terminal
# that is read has another access time, which the kernel notes every eight seconds.
reboot_when_alone() {
    booted_slot || return 0
    seconds=$ALONE_SECONDS
    parameters=
    read -r parameters 2>/dev/null <"${ROOT:-}/proc/cmdline" || :
    case " $parameters " in
    *' kubesolo.shell-seconds='*)
        seconds=${parameters##*kubesolo.shell-seconds=}
        seconds=${seconds%% *}
        ;;
    esac
    case $seconds in
    0 | *[!0-9]*) return 0 ;;
    esac
    log_line "[kubesolo-init] If nobody types here within $seconds s, the machine starts over."
    # The shell asks its terminal where the cursor is; the screen's answer is no person's.
    settled=16
    [ "$seconds" -ge 32 ] || settled=$((seconds / 2))
    sleep "$settled"
    # shellcheck disable=SC2086 # a list of paths
    before=$(stat -c %X $terminals 2>/dev/null)
    sleep $((seconds - settled))
    # shellcheck disable=SC2086 # a list of paths
    [ "$(stat -c %X $terminals 2>/dev/null)" = "$before" ] || return 0
    log_line '[kubesolo-init] Nobody has typed: starting over.'
    sync
    reboot -f
}

# keep_reason STAGE REASON: for the update agent, on the first partition, as the data may be out of reach; behind an
# empty line the end of the logs.
keep_reason() {
    mount_esp || return 0
    read_uptime
    {
        printf 'slot=%s\nstage=%s\nreason=%s\nuptime=%s\n\n' "$booted" "$1" "$2" "$((NOW / 100))"
        tail -q -n 10 "${ROOT:-}/run/kubesolo/boot.log" "${ROOT:-}/var/log/kubesolo.log" 2>/dev/null | tail -c 8000
    } |
        dd of="$ESP/grub/failure.txt" conv=fsync 2>/dev/null || warn 'the reason could not be kept'
    umount "$ESP"
}
