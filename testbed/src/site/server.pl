# A web server on port 8080 that answers every request with its name. Its
# argument is the name.
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;

my ($name) = @ARGV;
my $length = 1 + length $name;
my $answer = "HTTP/1.1 200 OK\r\nContent-Length: $length\r\n\r\n$name\n";
my $server = IO::Socket::INET->new(LocalPort => 8080, Listen => 128, ReuseAddr => 1)
    or die "cannot listen on port 8080: $@\n";
my $all = IO::Select->new($server);
$SIG{PIPE} = 'IGNORE';
syswrite STDOUT, "ready\n";
while (1) {
    for my $one ($all->can_read) {
        if ($one == $server) {
            my $client = $server->accept;
            $all->add($client) if $client;
        } elsif (sysread $one, my $request, 1000) {
            syswrite $one, $answer;
        } else {
            $all->remove($one);
            close $one;
        }
    }
}
