//! As much HTTP as the stories need: one request per connection, and server-sent events.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    headers: Headers,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).next()
    }

    pub fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(move |(header, _)| header == name).map(|(_, value)| value.as_str())
    }
}

/// The value of a named field is what follows its colon.
pub type Header<'a> = (&'a str, &'a str);

pub fn request(at: SocketAddr, method: &str, path: &str, headers: &[Header<'_>], body: &str) -> io::Result<Answer> {
    let (status, headers, mut rest) = send(at, method, path, headers, body)?;
    let mut bytes = Vec::new();
    rest.read_to_end(&mut bytes)?;
    Ok(Answer { status, headers, body: String::from_utf8_lossy(&bytes).into_owned() })
}

type Body = Box<dyn BufRead + Send>;

/// Names in lower case.
type Headers = Vec<(String, String)>;

fn send(at: SocketAddr, method: &str, path: &str, headers: &[Header<'_>], body: &str) -> io::Result<(u16, Headers, Body)> {
    let mut stream = TcpStream::connect(at)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut text = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| *name == "host") {
        text += &format!("host: {at}\r\n");
    }
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    stream.write_all(format!("{text}\r\n{body}").as_bytes())?;
    let mut reader = BufReader::new(stream);
    let first = line(&mut reader)?;
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(|| io::Error::other(first.clone()))?;
    let mut headers = Vec::new();
    loop {
        let line = line(&mut reader)?;
        match line.split_once(':') {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.trim().to_owned())),
            None => break,
        }
    }
    let chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let body: Body = if chunked { Box::new(BufReader::new(Chunks { reader, left: 0 })) } else { Box::new(reader) };
    Ok((status, headers, body))
}

fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

struct Chunks {
    reader: BufReader<TcpStream>,
    /// Of the present chunk.
    left: usize,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            self.left = usize::from_str_radix(&line(&mut self.reader)?, 16).map_err(io::Error::other)?;
            if self.left == 0 {
                return Ok(0);
            }
        }
        let most = buffer.len().min(self.left);
        let read = self.reader.read(&mut buffer[..most])?;
        self.left -= read;
        if self.left == 0 {
            line(&mut self.reader)?;
        }
        Ok(read)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `message` where the server does not name it.
    pub name: String,
    pub id: Option<u64>,
    pub data: String,
}

/// A subscription; dropping it ends it.
pub struct Events {
    events: Receiver<Event>,
    socket: TcpStream,
}

impl Events {
    /// Subscribed when this returns: the server's first words have come.
    pub fn subscribe(at: SocketAddr, path: &str, headers: &[Header<'_>]) -> io::Result<Self> {
        let mut stream = TcpStream::connect(at)?;
        let mut text = format!("GET {path} HTTP/1.1\r\nhost: {at}\r\naccept: text/event-stream\r\n");
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        stream.write_all(format!("{text}\r\n").as_bytes())?;
        let socket = stream.try_clone()?;
        let mut reader = BufReader::new(stream);
        let first = line(&mut reader)?;
        if first.split(' ').nth(1) != Some("200") {
            return Err(io::Error::other(first));
        }
        while !line(&mut reader)?.is_empty() {}
        let mut body = BufReader::new(Chunks { reader, left: 0 });
        // the comment that opens the stream
        while !line(&mut body)?.is_empty() {}
        let (tell, events) = channel();
        std::thread::spawn(move || {
            while let Some(event) = read_event(&mut body) {
                if tell.send(event).is_err() {
                    break;
                }
            }
        });
        Ok(Self { events, socket })
    }

    /// The next one; `None` after `patience` or at the end of the stream.
    pub fn next(&self, patience: Duration) -> Option<Event> {
        self.events.recv_timeout(patience).ok()
    }

    /// All that are left, to the end of the stream.
    pub fn rest(self) -> Vec<Event> {
        self.events.iter().collect()
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        // an error: the server was quicker
        self.socket.shutdown(Shutdown::Both).ok();
    }
}

fn read_event(body: &mut impl BufRead) -> Option<Event> {
    let (mut name, mut id, mut data) = (None, None, Vec::new());
    loop {
        let mut text = String::new();
        if body.read_line(&mut text).ok()? == 0 {
            return None;
        }
        let text = text.trim_end_matches('\n');
        match text.split_once(": ") {
            Some(("event", value)) => name = Some(value.to_owned()),
            Some(("id", value)) => id = value.parse().ok(),
            Some(("data", value)) => data.push(value.to_owned()),
            _ if text.is_empty() && !data.is_empty() => {
                return Some(Event { name: name.unwrap_or_else(|| "message".into()), id, data: data.join("\n") });
            }
            // a comment, the end of one
            _ => {}
        }
    }
}
