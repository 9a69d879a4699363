# shellcheck shell=bash
# What a shell in a guest begins with.

PS1='guest:\w# '
export ETCDCTL_API=3
unset PROMPT_COMMAND HISTFILE

# host NAME ADDRESS: a host on the bridge "lan", whose gateway is this one.
host() {
    [ $# -eq 2 ] || { echo "usage: host NAME ADDRESS" >&2; return 64; }
    [ -e /sys/class/net/lan ] || {
        ip link add lan type bridge mcast_snooping 0 && ip address add 10.9.0.1/24 dev lan &&
            ip link set lan up && echo 1 >/proc/sys/net/ipv4/ip_forward
    } || return
    ip netns add "$1" && ip link add "v-$1" type veth peer name eth0 netns "$1" &&
        ip link set "v-$1" master lan up && ip -n "$1" link set lo up &&
        ip -n "$1" link set eth0 up && ip -n "$1" address add "$2/24" dev eth0 &&
        ip -n "$1" route add default via 10.9.0.1
}

# serve NAME: that host answers on port 80 with its name, in the background.
serve() {
    [ $# -eq 1 ] || { echo "usage: serve NAME" >&2; return 64; }
    # shellcheck disable=SC2016 # it is perl that expands it
    ip netns exec "$1" perl -MIO::Socket::INET -e '
        my $server = IO::Socket::INET->new(LocalPort => 80, Listen => 9, ReuseAddr => 1) or die $!;
        while (my $client = $server->accept) {
            $client->recv(my $request, 4096);
            print $client "HTTP/1.0 200 OK\r\n\r\n$ARGV[0]\n";
            close $client;
        }' "$1" &
}

cat <<'END'
A kernel of your own, over this machine's files: write what you like, nothing of
it stays. Leave with exit or Ctrl-D. To try:

  host web1 10.9.0.11; serve web1        hosts on a bridge, with a web server
  host web2 10.9.0.12; serve web2
  ip address add 192.0.2.1/32 dev lo     a virtual address and its service
  ipvsadm -A -t 192.0.2.1:80 -s rr
  ipvsadm -a -t 192.0.2.1:80 -r 10.9.0.11:80 -m
  ipvsadm -a -t 192.0.2.1:80 -r 10.9.0.12:80 -m
  curl 192.0.2.1
  ipvsadm -Ln --stats; ipvsadm -Lnc

The same as a tree of keys says, by the lbmanager of this build:

  ipvsadm -C; etcd --data-dir /run/etcd >/run/etcd.log 2>&1 &
  lbmanager run --backends ipvs --ipvs-region edge --state-dir /run/lb \
      --masquerade off --sysctl apply 2>/run/lb.log &
  etcdctl put /lbManager/ipvs/edge/192.0.2.1:80/multiple/10.9.0.11:80 ''
  etcdctl put /lbManager/ipvs/edge/192.0.2.1:80/multiple/10.9.0.12:80 ''
  ipvsadm -Ln; lbmanager status; cat /run/lb.log
END
