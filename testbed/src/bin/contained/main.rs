//! The program in the containers of tests: see `testbed::contained`.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{ExitCode, exit};

use testbed::Error;
use testbed::contained::{ASK, ONCE, OnTerm, Steer};
use testbed::web::Web;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

#[tokio::main(flavor = "current_thread")]
async fn main() -> testbed::Result<ExitCode> {
    let term = watch::Sender::new(OnTerm::After(std::time::Duration::ZERO));
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if_eq(ASK).is_some() {
        return Ok(if is_well()? {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        });
    }
    if arguments.next_if_eq(ONCE).is_some() {
        for argument in arguments {
            obey(argument.parse()?, None, &term);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let (told, mut orders) = mpsc::channel(1);
    tokio::spawn(end_by_signal(term.subscribe()));
    let web = Web::steered((Ipv4Addr::UNSPECIFIED, 80).into(), told).await?;
    for argument in arguments {
        obey(argument.parse()?, Some(&web), &term);
    }
    while let Some((words, answer)) = orders.recv().await {
        let result = words.parse().map(|steer| obey(steer, Some(&web), &term));
        let _ = answer.send(result.map_err(|error| error.to_string()));
    }
    Ok(ExitCode::SUCCESS)
}

fn is_well() -> testbed::Result<bool> {
    let ask = || {
        let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, 80))?;
        server.write_all(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        server.read_to_string(&mut answer)?;
        Ok(answer.starts_with("HTTP/1.1 200"))
    };
    ask().map_err(|source| Error::Io {
        action: "ask",
        object: "port 80".to_owned(),
        source,
    })
}

fn obey(steer: Steer, web: Option<&Web>, term: &watch::Sender<OnTerm>) {
    match steer {
        Steer::Act(act) => web.into_iter().for_each(|web| web.set(act.clone())),
        Steer::Say {
            stderr,
            times,
            text,
        } => write(stderr, |out| {
            (1..=times).try_for_each(|number| writeln!(out, "{text} {number}"))
        }),
        // Unlike with `say` each line is written for itself, so that both are busy at once.
        Steer::Chat { times, text } => {
            for number in 1..=times {
                let line = format!("{text} {number}\n");
                let _ = io::stdout().write_all(line.as_bytes());
                let _ = io::stderr().write_all(line.as_bytes());
            }
        }
        Steer::Bytes {
            stderr,
            count,
            byte,
        } => write(stderr, |out| {
            (0..count).try_for_each(|_| out.write_all(&[byte]))
        }),
        Steer::Term(on_term) => {
            term.send_replace(on_term);
        }
        // Written to, or the kernel would not count it.
        Steer::Eat(megabytes) => drop(std::hint::black_box(vec![1_u8; megabytes << 20])),
        Steer::Sleep(time) => std::thread::sleep(time),
        Steer::Exit(code) => exit(code.into()),
    }
}

/// What is written is out when this returns. Nobody who reads is no reason to end.
fn write(stderr: bool, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
    let stream: Box<dyn Write> = if stderr {
        Box::new(io::stderr())
    } else {
        Box::new(io::stdout())
    };
    let mut stream = io::BufWriter::new(stream);
    let _ = content(&mut stream).and_then(|()| stream.flush());
}

/// The first process of a namespace does not end by signals that it does not handle.
async fn end_by_signal(on_term: watch::Receiver<OnTerm>) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => exit(0),
        }
        if let OnTerm::After(time) = *on_term.borrow() {
            tokio::spawn(async move {
                tokio::time::sleep(time).await;
                exit(0);
            });
        }
    }
}
