# A client that keeps one socket: asks again and again, and prints each answer.
# Over TCP it ends when it gets none, and says why; over UDP it goes on. Its
# arguments are tcp or udp, and the server's address and port.
use strict;
use warnings;
use IO::Select;
use IO::Socket::IP;

my ($protocol, $host, $port) = @ARGV;
my $socket = IO::Socket::IP->new(
    PeerAddr => $host, PeerPort => $port, Proto => $protocol, Timeout => 3);
die "cannot connect: $@\n" if !$socket;
$SIG{PIPE} = 'IGNORE';
$| = 1;

sub answer {
    syswrite $socket, "hello\n" or return (undef, "$!");
    IO::Select->new($socket)->can_read(2) or return (undef, 'no answer');
    my $read = sysread $socket, my $answer, 1000;
    return $read ? $answer : (undef, defined $read ? 'closed' : "$!");
}

while (1) {
    my ($answer, $why) = answer();
    print $answer // "none: $why\n";
    last if !defined $answer && $protocol eq 'tcp';
    select undef, undef, undef, 0.05;
}
