# Asks for a page all the time: each time over a new connection, and over four
# that are kept. Its arguments are an address, and for how many requests a
# connection is kept at most.
#
# SIGUSR1: lets the kept ones go, and keeps no more. SIGTERM: ends, and tells how
# many requests were answered, by whom, how many failed, and the first failures.
use strict;
use warnings;
use IO::Socket::INET;
use POSIX qw(SIGTERM SIGUSR1 SIG_BLOCK SIG_UNBLOCK sigprocmask);

my ($address, $requests) = @ARGV;
my ($answered, $failed, %by, @failures) = (0, 0);
my ($is_over, $lets_go);
$SIG{TERM} = sub { $is_over = 1 };
$SIG{USR1} = sub { $lets_go = 1 };
$SIG{PIPE} = 'IGNORE';
# Where they interrupt a request, it looks as if it had failed.
my $signals = POSIX::SigSet->new(SIGTERM, SIGUSR1);
sigprocmask(SIG_BLOCK, $signals);

sub failed {
    my ($why) = @_;
    chomp $why;
    $failed++;
    push @failures, $why if @failures < 5;
    return;
}

sub connection {
    my $socket = IO::Socket::INET->new(PeerAddr => $address, Timeout => 3);
    failed("a new connection: $@") if !$socket;
    return $socket;
}

# Whether it was answered.
sub ask {
    my ($socket, $what) = @_;
    my $page = eval {
        local $SIG{ALRM} = sub { die "no answer within 3 s\n" };
        alarm 3;
        syswrite $socket, "GET / HTTP/1.1\r\nHost: site\r\n\r\n" or die "write: $!\n";
        my $length = sysread $socket, my $page, 1000;
        die 'read: ', defined $length ? 'closed' : $!, "\n" if !$length;
        $page;
    };
    my $error = $@;
    alarm 0;
    my ($name) = ($page // '') =~ /\r\n\r\n(.*)\n\z/;
    return failed("$what: " . ($error || 'half an answer')) if !defined $name;
    $by{$name}++;
    return ++$answered;
}

my @kept;
for (my $round = 0; !$is_over; $round++) {
    my $socket = connection();
    ask($socket, 'a request over a new connection') if $socket;
    while (@kept < 4 && !$lets_go) {
        my $kept = connection() or last;
        # They do not all end at once.
        push @kept, { socket => $kept, left => 1 + int rand $requests };
    }
    @kept = () if $lets_go;
    for my $one (@kept) {
        my $is_answered = ask($one->{socket}, 'a request over a kept connection');
        $one->{left} = $is_answered ? $one->{left} - 1 : 0;
    }
    @kept = grep { $_->{left} } @kept;
    syswrite STDOUT, "started\n" if $round == 0;
    sigprocmask(SIG_UNBLOCK, $signals);
    select undef, undef, undef, 0.02;
    sigprocmask(SIG_BLOCK, $signals);
}
print "answered $answered\nfailed $failed\n";
print "by $_ $by{$_}\n" for sort keys %by;
print "failure $_\n" for @failures;
