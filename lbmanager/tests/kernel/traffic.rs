//! Connections through virtual services while their real servers change.

use std::time::Duration;

use testbed::netns::{Bridge, Namespace};
use testbed::process::{Running, Signal, Stream};

use crate::world::{SOON, VIP, World, run, until_servers};

/// Answers each line with its own name.
const SERVER: &str = r#"
    use IO::Socket::INET; use IO::Select;
    my ($name) = @ARGV;
    my $server = IO::Socket::INET->new(
        LocalPort => 8080, Listen => 128, ReuseAddr => 1) or die $@;
    my $all = IO::Select->new($server);
    print "ready\n"; STDOUT->flush;
    while (1) {
        for my $one ($all->can_read) {
            if ($one == $server) { my $client = $server->accept; $all->add($client) if $client; next }
            my $read = sysread($one, my $line, 1000);
            if (!$read) { $all->remove($one); close $one; next }
            syswrite($one, "$name\n");
        }
    }"#;

/// Keeps some connections for a while and makes new ones all the time; says at
/// the end how many were answered, and what failed.
const CLIENT: &str = r#"
    use IO::Socket::INET; use Time::HiRes qw(sleep time);
    my ($ok, $failed, %seen, @failures, $stop, @long) = (0, 0);
    $SIG{TERM} = sub { $stop = 1 }; $SIG{PIPE} = 'IGNORE';
    sub fail { $failed++; push @failures, $_[0] if @failures < 5 }
    sub ask {
        my ($socket, $what) = @_;
        my $name = "";
        eval {
            local $SIG{ALRM} = sub { die "late\n" }; alarm 3;
            defined syswrite($socket, "hello\n") or die "write: $!\n";
            sysread($socket, $name, 100) or die "read: $!\n";
            alarm 0;
        };
        alarm 0;
        if ($@) { fail("$what: $@"); return 0 }
        chomp $name; $seen{$name}++; $ok++; return 1
    }
    sub dial {
        my $socket = IO::Socket::INET->new(PeerAddr => $ARGV[0], Timeout => 3);
        fail("connect: $@") if !$socket;
        return $socket
    }
    $| = 1;
    my $rounds = 0;
    while (!$stop) {
        my $socket = dial();
        if ($socket) { ask($socket, "new"); close $socket }
        if ($rounds % 20 == 0) { my $long = dial(); push @long, [$long, 0] if $long }
        for my $one (@long) { $one->[1] = 99 if !ask($one->[0], "old"); $one->[1]++ }
        # They end by their own will, well before a drain does.
        @long = grep { $_->[1] < 60 or (close($_->[0]), 0) } @long;
        print "started\n" if $rounds++ == 0;
        sleep 0.02;
    }
    my $names = join(",", map { "$_:$seen{$_}" } sort keys %seen);
    print "ok $ok failed $failed seen $names failures @failures\n";"#;

struct Net {
    world: World,
    client: Namespace,
    _servers: Vec<(Namespace, Running)>,
    _lan: Bridge,
    _outside: Bridge,
}

async fn net() -> Net {
    let lan = Bridge::create("lan", ["10.9.0.1/24"]).await.unwrap();
    let outside = Bridge::create("outside", ["10.7.0.1/24"]).await.unwrap();
    run("ip", "link add lb0 type dummy").await;
    run("ip", "link set lb0 up").await;
    run("ip", "address add 10.8.0.1/32 dev lb0").await;
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
    let mut servers = Vec::new();
    for number in 1..=4 {
        let name = format!("server-{number}");
        let host = Namespace::builder(&name)
            .address(format!("10.9.0.{}/24", 10 + number))
            .gateway("10.9.0.1")
            .join(&lan)
            .await
            .unwrap();
        let program = host.program("/usr/bin/perl").unwrap();
        let running = program.args(["-e", SERVER, &name]).start().await.unwrap();
        running
            .wait_for_line(|line| line == "ready", SOON)
            .await
            .unwrap();
        servers.push((host, running));
    }
    let client = Namespace::builder("client")
        .address("10.7.0.2/24")
        .gateway("10.7.0.1")
        .join(&outside)
        .await
        .unwrap();
    Net {
        world: World::start().await,
        client,
        _servers: servers,
        _lan: lan,
        _outside: outside,
    }
}

fn server(number: u8) -> String {
    format!("10.9.0.{}:8080", 10 + number)
}

fn weighed(number: u8, weight: u8) -> String {
    format!("{} {weight}", server(number))
}

impl Net {
    async fn load(&self) -> Running {
        let program = self.client.program("/usr/bin/perl").unwrap();
        let running = program.args(["-e", CLIENT, VIP]).start().await.unwrap();
        running
            .wait_for_line(|line| line == "started", SOON)
            .await
            .unwrap();
        running
    }

    /// Ends the load, and gives what it said.
    async fn judge(&self, mut load: Running) -> String {
        load.signal(Signal::SIGTERM).unwrap();
        load.wait(SOON).await.unwrap();
        let said = load.text(Stream::Stdout);
        let log = self.world.log();
        assert!(
            said.contains(" failed 0 "),
            "{said}{}\n{log}",
            load.text(Stream::Stderr)
        );
        said
    }

    async fn until(&self, servers: &[u8]) {
        let servers: Vec<String> = servers.iter().map(|number| weighed(*number, 1)).collect();
        let servers: Vec<&str> = servers.iter().map(String::as_str).collect();
        until_servers(VIP, &servers).await;
    }
}

pub async fn is_served_while_real_servers_are_replaced() {
    let net = net().await;
    for number in [1, 2] {
        net.world.put(&server(number), "").await;
    }
    net.until(&[1, 2]).await;
    let load = net.load().await;
    net.world.put(&server(3), "").await;
    net.until(&[1, 2, 3]).await;
    for (comes, goes) in [(4, 1), (1, 2), (2, 3)] {
        net.world.put(&server(comes), "").await;
        net.world.del(&server(goes)).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    net.until(&[1, 2, 4]).await;
    // One that returns before its drain is over.
    net.world.del(&server(4)).await;
    net.world.put(&server(4), "").await;
    net.until(&[1, 2, 4]).await;
    let said = net.judge(load).await;
    for number in 1..=4 {
        assert!(said.contains(&format!("server-{number}:")), "{said}");
    }
}

pub async fn of_a_single_service_follows_each_switch() {
    let net = net().await;
    let put = async |number: u8| {
        let key = crate::world::key(VIP, "single", &server(number));
        net.world.etcd.put(&key, "").await.unwrap();
        net.until(&[number]).await;
    };
    put(1).await;
    let load = net.load().await;
    for number in [2, 3, 1, 4] {
        put(number).await;
    }
    let said = net.judge(load).await;
    assert!(said.contains("server-4:"), "{said}");
}
