#!/bin/sh
# The first process of a guest: makes a machine of the host's files, runs the
# program, tells how it ended and switches off.
#
# The root is the host's, read-only. An overlay in memory makes it writable, and
# nothing that is written there gets to the host. ttyS0 and ttyS1 are the
# program's output and errors, ttyS2 is the status.
set -eu
here=${0%/*}
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH

switch_off() {
    # The system call itself: halt is not on every machine.
    perl -e 'syscall 169, 0xfee1dead, 672274793, 0x4321fedc, 0'
}
trap 'echo "the guest was not set up: see the line above"; switch_off' EXIT

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
    switch_off
fi

stty raw -echo </dev/ttyS0
stty raw -echo </dev/ttyS1
mkfifo /run/output /run/errors
cat /run/output >/dev/ttyS0 &
output=$!
cat /run/errors >/dev/ttyS1 &
errors=$!
echo runs >/dev/ttyS2
status=$(perl /.guest/run.pl /.guest /dev/null /run/output /run/errors)
# What it left running may hold its output open: only what it wrote is waited for.
{
    sleep 1
    kill "$output" "$errors"
} 2>/dev/null &
wait "$output" "$errors" || :
echo "$status" >/dev/ttyS2
trap - EXIT
switch_off
