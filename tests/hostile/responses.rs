//! API servers whose responses have no end.

use std::io::Write as _;
use std::net::TcpStream;

use rand::RngExt as _;

use crate::home::Home;
use crate::program::{each, run};
use crate::server::{context, endless, head, start};
use crate::tally::{Tally, random};

/// What a server sends: once, and then again and again.
#[derive(Clone, Copy, Debug)]
enum Endless {
    /// A body without a length.
    Closing(&'static str),
    /// A body in chunks of 64 KiB.
    Chunks(u16, &'static str, &'static str),
    /// A length, and more bytes than can be held.
    Length(u16, u64),
    Headers,
    /// A line of a watch, or a list that does not stop.
    Objects(&'static str, &'static str),
}

const SHAPES: &[Endless] = &[
    Endless::Closing("application/json"),
    Endless::Closing("text/html"),
    Endless::Chunks(200, "application/json", " "),
    Endless::Chunks(200, "application/json", "{\"kind\":"),
    Endless::Chunks(500, "application/json", " "),
    Endless::Chunks(404, "text/html", "<b>"),
    Endless::Chunks(200, "application/vnd.kubernetes.protobuf", "\u{1}"),
    Endless::Length(200, u64::MAX / 2),
    Endless::Length(403, 1 << 40),
    Endless::Length(200, 3 << 30),
    Endless::Headers,
    Endless::Objects(
        "{\"kind\":\"List\",\"apiVersion\":\"v1\",\"metadata\":{},\"items\":[",
        "{\"metadata\":{\"name\":\"a\"}},",
    ),
    Endless::Objects("{\"gitVersion\":\"v1.35.0\",\"x\":\"", "aaaaaaaaaaaaaaaa"),
    Endless::Objects("{\"kind\":\"APIGroupList\",\"groups\":[", "{\"name\":\"a\",\"versions\":[]},"),
];

const COMMANDS: [&str; 8] =
    ["stat", "lint", "check", "sp show", "deploy", "inject deploy/web", "routes", "status"];

fn serve(mut stream: TcpStream, shape: Endless) -> std::io::Result<()> {
    if head(&mut stream).is_none() {
        return Ok(());
    }
    match shape {
        Endless::Closing(kind) => {
            stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n\r\n").as_bytes())?;
            endless(&mut stream, &[b' '; 65536]);
        }
        Endless::Chunks(status, kind, text) => {
            let head =
                format!("HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n");
            stream.write_all(head.as_bytes())?;
            let chunk = format!("10000\r\n{}\r\n", &text.repeat(65536)[..65536]);
            endless(&mut stream, chunk.as_bytes());
        }
        Endless::Length(status, length) => {
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
            );
            stream.write_all(head.as_bytes())?;
            endless(&mut stream, &[b' '; 65536]);
        }
        Endless::Headers => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
            endless(&mut stream, &b"x-filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(64));
        }
        Endless::Objects(start, item) => {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n";
            stream.write_all(format!("{head}{start}").as_bytes())?;
            endless(&mut stream, item.repeat(4096).as_bytes());
        }
    }
    Ok(())
}

#[test]
fn responses_without_an_end() {
    let (tally, mut random) = (Tally::new("responses without an end", 40), random("responses"));
    let home = Home::new();
    let mut cases = Vec::new();
    for shape in SHAPES {
        for _ in 0..3 {
            cases.push((*shape, COMMANDS[random.random_range(0..COMMANDS.len())]));
        }
    }
    each(cases, |(shape, command)| {
        // An error means that the client has had enough.
        let server = start(move |stream| serve(stream, shape).unwrap_or_default());
        let line = format!("{command} {}", context(home.path(), &server, "token: t"));
        tally.add("S-D8", format!("{command}, {shape:?}"), run(home.command(&line)).faults_of_invalid());
    });
    tally.end();
}
