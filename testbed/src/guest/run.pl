# Runs a program, and writes to standard output how it ended, as wait(2) tells
# it: a shell would not tell a signal from a number.
#
# Its arguments are a directory, where three files say what to run, each of
# strings that end with NUL, and what to take for the three standard streams:
# a path, or & and the number of a descriptor.
use strict;
use warnings;
use POSIX ();

my ($directory, @streams) = @ARGV;

sub strings {
    my ($name) = @_;
    open my $file, '<:raw', "$directory/$name" or die "cannot read $directory/$name: $!\n";
    local $/;
    return split /\0/, <$file>, -1;
}

my @arguments = strings('arguments');
pop @arguments;    # the nothing after the last NUL
my ($folder) = strings('folder');
my %environment = map { my ($name, $value) = split /=/, $_, 2; $name => $value }
    grep { /=/ } strings('environment');

sub child {
    POSIX::setsid();
    open STDIN, "<$streams[0]" or POSIX::_exit(126);
    open STDERR, ">$streams[2]" or POSIX::_exit(126);
    open STDOUT, ">$streams[1]" or POSIX::_exit(126);
    POSIX::close($_) for 3 .. 9;
    my $failed = sub { print STDERR "$_[0]: $!\n"; POSIX::_exit(127); };
    chdir $folder or $failed->("cannot go to $folder");
    %ENV = %environment;
    exec { $arguments[0] } @arguments or $failed->("cannot run $arguments[0]");
}

my $pid = fork;
die "cannot fork: $!\n" if !defined $pid;
child() if !$pid;
waitpid $pid, 0;
print "$?\n";
