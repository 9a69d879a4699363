# A real server: answers each line over TCP, and each packet over UDP, with its
# name and the address that it sees the client at. Its arguments are its name
# and its port.
use strict;
use warnings;
use IO::Select;
use IO::Socket::IP;
use Socket qw(AF_INET6 SOCK_DGRAM SOCK_STREAM);

my ($name, $port) = @ARGV;

sub socket_of {
    my ($type, @more) = @_;
    my $socket = IO::Socket::IP->new(
        Family => AF_INET6, LocalAddr => '::', LocalPort => $port, Type => $type,
        V6Only => 0, ReuseAddr => 1, @more);
    return $socket || die "cannot listen at $port: $@\n";
}

sub answer {
    my ($client) = @_;
    return "$name " . $client->peerhost =~ s/^::ffff://r . "\n";
}

my $streams = socket_of(SOCK_STREAM, Listen => 128);
my $packets = socket_of(SOCK_DGRAM);
my $all = IO::Select->new($streams, $packets);
$SIG{PIPE} = 'IGNORE';
$| = 1;
print "ready\n";
while (1) {
    for my $one ($all->can_read) {
        if ($one == $streams) {
            my $client = $one->accept;
            $all->add($client) if $client;
        } elsif ($one == $packets) {
            my $peer = $one->recv(my $packet, 1000);
            $one->send(answer($one), 0, $peer) if defined $peer;
        } elsif (sysread $one, my $line, 1000) {
            syswrite $one, answer($one);
        } else {
            $all->remove($one);
            close $one;
        }
    }
}
