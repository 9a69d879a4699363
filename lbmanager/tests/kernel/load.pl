# Load: makes new connections all the time and keeps some for a while; each is
# asked, and has to answer. Says at the end how many answers there were, of
# whom, and what failed. Its arguments are the server's address and port.
use strict;
use warnings;
use IO::Select;
use IO::Socket::IP;

my ($host, $port) = @ARGV;
# Every so many rounds begin so many long-lived connections,
my $EVERY = 15;
my $AT_ONCE = 3;
# which end by their own will within so many seconds.
my $LIFE = 3;

my ($answers, %of, @failures, @long, $stop) = (0);
$SIG{TERM} = sub { $stop = 1 };
$SIG{PIPE} = 'IGNORE';
$| = 1;

sub dial {
    my $socket = IO::Socket::IP->new(PeerAddr => $host, PeerPort => $port, Timeout => 3);
    push @failures, "connect: $@" if !$socket;
    return $socket;
}

sub ask {
    my ($socket, $what) = @_;
    my $failed = sub { push @failures, "$what: $_[0]"; return };
    syswrite $socket, "hello\n" or return $failed->("write: $!");
    # A signal may end the wait.
    IO::Select->new($socket)->can_read(3) or $stop or return $failed->('no answer');
    sysread $socket, my $answer, 1000 or return $failed->("read: $!");
    my ($name) = split / /, $answer;
    $of{$name}++;
    return ++$answers;
}

for (my $round = 0; !$stop; $round++) {
    my $new = dial();
    ask($new, 'new') if $new;
    if ($round % $EVERY == 0) {
        push @long, map { [$_, time + $LIFE] } grep { $_ } map { dial() } 1 .. $AT_ONCE;
    }
    @long = grep { ask($_->[0], 'long-lived') && $_->[1] > time } @long;
    print "started\n" if $round == 0;
    select undef, undef, undef, 0.02;
}
my $names = join ',', map { "$_:$of{$_}" } sort keys %of;
print "answers $answers of $names, ", scalar(@failures), " failures @failures\n";
