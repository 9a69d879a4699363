#!/bin/sh
# The first process of a whole host: makes a machine of the disk, and goes on as
# systemd, which runs run.sh as a unit when everything else has been started.
set -eu
here=${0%/*}
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH

trap 'echo "the host was not set up: see the line above"; perl "$here/off.pl"' EXIT

mount -t tmpfs tmpfs /run
mkdir /run/dev /run/root
mount -t devtmpfs devtmpfs /run/dev
mount -t ext4 -o noatime /run/dev/ubda /run/root
cd /run/root
mount -t hostfs -o "$here" hostfs .guest
pivot_root . .host
cd /
here=/.guest
mount -t proc proc /proc
umount -l /.host
mount --all --fstab /.guest/fstab
install -d -o etcd -g etcd -m 700 /var/lib/etcd
chown etcd: /var/lib/etcd
# Each host is one of its own.
tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id

# shellcheck disable=SC2046 # names, apart
modprobe --all $(cat /.guest/modules)
# Where others would reach this host, if there were any.
ip link set lo up
ip link add eth0 type dummy
ip address add 192.0.2.10/24 dev eth0
ip link set eth0 up
ip route add default via 192.0.2.1

cat >/etc/systemd/system/testbed.service <<'END'
[Unit]
Description=The program of the guest
After=multi-user.target

[Service]
Type=exec
ExecStart=/bin/sh /.guest/run.sh
StandardOutput=tty
StandardError=tty
TTYPath=/dev/console
OOMPolicy=continue
END
mkdir -p /etc/systemd/system/multi-user.target.wants
ln -s ../testbed.service /etc/systemd/system/multi-user.target.wants/testbed.service
umount /proc
trap - EXIT
exec /lib/systemd/systemd
