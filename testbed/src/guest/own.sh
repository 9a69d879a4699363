#!/bin/sh
# The first process of a namespace of the machine's own kernel: the counterpart
# of init.sh. Its argument is the directory that says what to run; the program's
# output and errors are descriptors 3 and 4, the status is 5.
set -eu
directory=$1

# Names of network namespaces, sockets of daemons: those of the machine are not seen.
mount -t tmpfs tmpfs /run
mount -t sysfs sysfs /sys
# shellcheck disable=SC2046 # names, apart
modprobe --all $(cat "$directory/modules") || :
if ! [ -e /proc/net/ip_vs ]; then
    echo "the machine's own kernel was asked for (TESTBED_KERNEL=own)," \
        "and it has no ip_vs, nor a module of it"
    exit 1
fi
ip link set lo up
echo runs >&5
perl "$directory/run.pl" "$directory" /dev/null '&3' '&4' >&5
