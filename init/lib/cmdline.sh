# The kernel's command line: words separated by spaces, double quotes protect spaces
# (Linux, Documentation/admin-guide/kernel-parameters.rst).

# for_each_parameter FUNCTION TEXT: calls FUNCTION with every parameter of TEXT, quotes removed.
for_each_parameter() {
    visitor=$1
    rest=$2
    while :; do
        rest=${rest#"${rest%%[! ]*}"}
        [ -n "$rest" ] || return 0
        next_parameter
        "$visitor" "$parameter"
    done
}

# Moves the first parameter from $rest to $parameter.
next_parameter() {
    parameter=
    while :; do
        chunk=${rest%%[\" ]*}
        parameter=$parameter$chunk
        rest=${rest#"$chunk"}
        case $rest in
        \"*)
            rest=${rest#\"}
            chunk=${rest%%\"*}
            parameter=$parameter$chunk
            rest=${rest#"$chunk"}
            rest=${rest#\"}
            ;;
        *) return 0 ;;
        esac
    done
}

read_cmdline() {
    cmdline=
    read -r cmdline <"${ROOT:-}/proc/cmdline" || :
}
