# A client: asks so many times, each time over a socket of its own, and prints
# each answer, or "none". Its arguments are how many times, tcp or udp, the
# server's address and port, and its own address if it has several.
use strict;
use warnings;
use IO::Select;
use IO::Socket::IP;

my ($times, $protocol, $host, $port, $own) = @ARGV;

sub answer {
    my $socket = IO::Socket::IP->new(
        PeerAddr => $host, PeerPort => $port, Proto => $protocol, Timeout => 3,
        $own ? (LocalAddr => $own) : ());
    syswrite $socket, "hello\n" if $socket;
    return "none\n" if !$socket || !IO::Select->new($socket)->can_read(3);
    my $read = sysread $socket, my $answer, 1000;
    return $read ? $answer : "none\n";
}

print answer() for 1 .. $times;
