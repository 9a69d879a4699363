# Tries what a unit might not be allowed to, and tells what came of it: a line
# each, "probe WHAT: ok" or the name of the error.
use strict;
use warnings;
use Errno ();
use Fcntl;
use POSIX ();

$| = 1;

sub report {
    my ($what, $worked) = @_;
    my ($name) = $worked ? 'ok' : sort grep { $!{$_} } keys %!;
    print "probe $what: $name\n";
}

# A system call that must not return -1.
sub try {
    my ($what, $number, @arguments) = @_;
    report($what, syscall($number, @arguments) != -1);
}

open my $status, '<', '/proc/self/status' or die "cannot read /proc/self/status: $!";
while (<$status>) {
    print "probe $1: $2\n" if /^(Uid|Cap\w+|NoNewPrivs|Seccomp):\s+(\w+)/;
}

my $own = '/tmp/probe-of-its-own';
open(my $file, '>', $own) or die "cannot write $own: $!";
if (my $state = $ENV{STATE_DIRECTORY}) {
    report('write the state directory', open(my $kept, '>', "$state/probe"));
}
report('see /proc/1', -e '/proc/1/status');
report('see /proc/sys', -e '/proc/sys/kernel/random/boot_id');
report('see disks', -e '/dev/ubda');
report('see the log of the kernel', open my $log, '<', '/dev/kmsg');

# Numbers of x86_64.
try('chown', 92, $own, -1, -1);
report('setuid bit', chmod 04755, $own);
try('sched_setaffinity', 203, 0, 8, "\xff\0\0\0\0\0\0\0");
try('personality', 135, 0x0008);
# Read, write and execute; private and anonymous.
try('mmap writable code', 9, 0, 4096, 7, 0x22, -1, 0);
try('unshare', 272, 0x20000000);
try('sethostname', 170, 'guest', 5);
my %families = (inet => 2, inet6 => 10, unix => 1, netlink => 16, packet => 17, vsock => 40);
for my $family (sort keys %families) {
    my $kind = $family eq 'packet' || $family eq 'netlink' ? 3 : 1;
    try("socket $family", 41, $families{$family}, $kind, 0);
}
