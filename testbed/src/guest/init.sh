#!/bin/sh
# The first process of a guest: makes a machine of the host's files, and goes on
# as run.sh.
#
# The root is the host's, read-only. An overlay in memory makes it writable, and
# nothing that is written there gets to the host.
set -eu
here=${0%/*}
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH

trap 'echo "the guest was not set up: see the line above"; perl "$here/off.pl"' EXIT

mount -t tmpfs tmpfs /run
insmod "/usr/lib/uml/modules/$(uname -r)/kernel/fs/overlayfs/overlay.ko"
mkdir /run/upper /run/work /run/root
mount -t overlay -o lowerdir=/,upperdir=/run/upper,workdir=/run/work overlay /run/root
cd /run/root
mkdir -p .host .guest lib/modules
mount -t hostfs -o "$here" hostfs .guest
pivot_root . .host
cd /
mount -t proc proc /proc
umount -l /.host
mount --all --fstab /.guest/fstab
ln -s /proc/self/fd /dev/fd
ln -s fd/0 /dev/stdin
ln -s fd/1 /dev/stdout
ln -s fd/2 /dev/stderr
echo guest >/proc/sys/kernel/hostname
# Not everything can be reached while it is down.
ip link set lo up
# shellcheck disable=SC2046 # names, apart
modprobe --all $(cat /.guest/modules)

if [ -e /.guest/shell ]; then
    # shellcheck disable=SC2046 # rows and columns
    stty $(cat /.guest/shell) </dev/tty0
    trap - EXIT
    echo runs >/dev/ttyS2
    perl /.guest/run.pl /.guest /dev/tty0 /dev/tty0 /dev/tty0 >/dev/null || :
    perl /.guest/off.pl
fi

trap - EXIT
exec sh /.guest/run.sh
