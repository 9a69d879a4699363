#!/bin/sh
# Makes the root file system of a whole host: an ext2 image of the path $1.
#
# It is of the distribution that this machine runs, and comes from the package
# sources of this machine, so programs that were built here run there.
set -eu
image=$1
codename=$(. /etc/os-release && echo "$VERSION_CODENAME")

# Of the sources those that name the distribution's suite; others may need keys
# and programs that are not there.
set --
for sources in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
    if grep -Eqs "^[^#]*[[:space:]]$codename([[:space:]]|\$)" "$sources"; then
        set -- "$@" "$sources"
    fi
done

options=$(mktemp)
trap 'rm -f "$options"' EXIT
# How this machine gets to its sources: proxies, certificates, dates of mirrors.
apt-config dump --no-empty --format '%F "%v";%n' \
    Acquire::http Acquire::https Acquire::Check-Valid-Until Acquire::Check-Date >"$options"

packages=systemd,dbus,udev,kmod,iproute2,procps,curl,ca-certificates,busybox-static
packages=$packages,etcd-server,etcd-client,docker.io,iptables,ipvsadm

# shellcheck disable=SC2016 # it is the other shell that expands it
mmdebstrap --quiet --variant=minbase --format=ext2 --include="$packages" --aptopt="$options" \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook='chroot "$1" update-alternatives --set iptables /usr/sbin/iptables-legacy' \
    --customize-hook='cd "$1/etc/systemd/system" && for unit in \
        apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
        fstrim.timer getty.target ipvsadm.service systemd-logind.service \
        systemd-udev-trigger.service; do ln -sf /dev/null "$unit"; done' \
    --customize-hook='echo guest >"$1/etc/hostname"' \
    --customize-hook='echo 127.0.0.1 localhost guest >"$1/etc/hosts"' \
    --customize-hook='mkdir -p "$1/.guest" "$1/.host" "$1/usr/lib/modules" "$1/var/lib/docker"' \
    "$codename" "$image" "$@"

# Room for what is written; none of it is taken yet.
truncate --size=4G "$image"
PATH=$PATH:/usr/sbin:/sbin
# It also tells what it repaired, with 1.
e2fsck -fy "$image" >/dev/null || [ $? -eq 1 ]
resize2fs "$image" >/dev/null 2>&1
