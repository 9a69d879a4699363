#!/bin/sh
# Runs the kernel of a guest, on the host's side. Its first argument is the
# guest's directory, the others are the kernel and its arguments.
#
# Standard input is the lifeline: it is written to by nobody, and closed when
# the caller has ended, however it did. The kernel is several processes, of
# which some go on when their parent is killed. It would leave for a session of
# its own, if it did not lead this group: so it takes this process' place.
set -u
directory=$1
shift

exec 6<&0 7>&1 8>&2 >"$directory/console" 2>&1
{
    cat <&6 >/dev/null
    rm -rf "$directory"
    kill -KILL 0
} 7>&- 8>&- &
# What a kernel that panics leaves.
# shellcheck disable=SC3045 # both dash and bash know it
ulimit -c 0
# The program's output and errors, and how it ended.
exec "$@" </dev/null 3>&7 4>&8 5>"$directory/status" 6<&- 7>&- 8>&-
