//! Counters, with real connections.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use ipvs::{Command, Stats, proc};

use crate::world::{World, add, add_to, ipvsadm, row, tcp, until};

const SERVICE: &str = "127.0.0.1:80";
const SERVER: &str = "127.0.0.1:8080";

/// A connection through the service that has sent a few bytes each way.
fn connect(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let mut client = TcpStream::connect(SERVICE).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(b"ping").unwrap();
    server.read_exact(&mut [0; 4]).unwrap();
    server.write_all(b"pong").unwrap();
    client.read_exact(&mut [0; 4]).unwrap();
    (client, server)
}

fn counters(stats: &Stats) -> Vec<String> {
    let counters = [
        stats.connections,
        stats.packets_in,
        stats.packets_out,
        stats.bytes_in,
        stats.bytes_out,
    ];
    counters.iter().map(ToString::to_string).collect()
}

pub async fn connections_are_counted_as_ipvsadm_counts_them() {
    let mut world = World::new();
    let service = tcp(SERVICE);
    let listener = TcpListener::bind(SERVER).unwrap();
    world.execute(&[add(service), add_to(service, SERVER)]);
    let connections: Vec<_> = (0..3).map(|_| connect(&listener)).collect();
    assert_eq!(world.destinations(service)[0].connections.active, 3);
    // The kernel adds up every two seconds.
    until("both say the same", || {
        let destination = world.destinations(service)[0].stats;
        let whole = world.ipvs.services().unwrap()[0].stats;
        let witness = ipvsadm("-Ln --stats --exact");
        destination.connections == 3
            && destination.bytes_out > 0
            && whole == destination
            && counters(&destination) == row(&witness, SERVER)[2..]
            && counters(&whole) == row(&witness, SERVICE)[2..]
    })
    .await;
    let text = &proc::read().unwrap()[0].destinations[0];
    assert_eq!((text.active, text.inactive), (3, 0));
    drop(connections);
    until("they are closed", || {
        let now = world.destinations(service)[0].connections;
        (now.active, now.inactive) == (0, 3)
    })
    .await;
}

pub async fn counters_are_reset() {
    let mut world = World::new();
    let service = tcp(SERVICE);
    let listener = TcpListener::bind(SERVER).unwrap();
    world.execute(&[add(service), add_to(service, SERVER)]);
    let _connection = connect(&listener);
    until("it is counted", || {
        world.destinations(service)[0].stats.connections == 1
    })
    .await;
    world.execute(&[Command::ResetCounters { service }]);
    assert_eq!(counters(&world.ipvs.services().unwrap()[0].stats), ["0"; 5]);
    assert_eq!(counters(&world.destinations(service)[0].stats), ["0"; 5]);
}
