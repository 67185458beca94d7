//! The pages over a review of 10,000 changed attributes (`SNOWGATE_CHANGES` for another number) and a list of 200 pull requests, as
//! `snowgate serve` answers them: `make bench BENCH="--bench pages"`. Server time of each page from request to last byte, over one
//! connection, and what it used of the server's processors, which a busy machine alters less; what the first load of the review costs;
//! requests a second on the list with 50 clients.

#[path = "../tests/support/appliance.rs"]
mod appliance;
mod common;
#[path = "../tests/support/scale.rs"]
mod scale;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use appliance::Place;
use common::number;
use snowgate::config::StateDir;
use snowgate::db::Db;
use snowgate::domain::RepositoryName;
use snowgate::review::report;
use snowgate::review::report::Revision;

const PULLS: usize = 200;
const ROUNDS: usize = 100;
const CLIENTS: usize = 50;
const WHILE: Duration = Duration::from_secs(10);

fn main() {
    let changes = number("SNOWGATE_CHANGES", 10_000);
    let place = Place::new();
    place.serves("scale");
    let name = RepositoryName::new("local/scale");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(publication(&StateDir::new(place.path("aside")), &place.path("aside-repository"), &name, changes));
    let began = Instant::now();
    runtime.block_on(scale::furnish(&StateDir::new(place.path("state")), &place.path("scale"), &name, PULLS, changes));
    println!("{PULLS} pull requests, one of them with {changes} changes: generated in {:.1} s", began.elapsed().as_secs_f64());
    let appliance = place.serve();
    appliance.until("the repository was read", || {
        let list = appliance.json("/api/pulls?state=open");
        (list.as_array().is_some_and(|list| list.len() == PULLS)).then_some(())
    });
    let at = appliance.address();
    let pull = "/r/local/scale/pull/1";
    let report = appliance.json("/api/reviews/000000c0ffee0000");
    let cause = report["failures"][0]["drv"].as_str().map(|drv| drv[11..].to_owned()).expect("a cause");
    let growing = report["changes"].as_array().into_iter().flatten().find(|change| grew(change)).expect("one that grew");
    let growing = growing["attr"].as_str().expect("its name");
    println!("server time of a page, {ROUNDS} times       p50       p99       CPU   compressed");
    let pages = [
        ("the list", "/".to_owned()),
        ("the list, searched", "/?q=fischer".to_owned()),
        ("the review", pull.to_owned()),
        ("  page 50", format!("{pull}?page=50")),
        ("  searched", format!("{pull}?q=json")),
        ("  searched, nothing found", format!("{pull}?q=nothing-of-the-kind")),
        ("  by name", format!("{pull}?sort=attr")),
        ("  by closure, page 50", format!("{pull}?sort=closure&page=50")),
        ("  by build time", format!("{pull}?sort=build")),
        ("  one category", format!("{pull}?category=newly_failing")),
        ("  one system", format!("{pull}?system=aarch64-linux")),
        ("  one system, searched", format!("{pull}?system=aarch64-linux&q=python")),
        ("  blocked by one cause", format!("{pull}?cause={cause}")),
        ("  failures, page 2", format!("{pull}?fpage=2")),
        ("  errors that were there before", format!("{pull}?errors=still")),
        ("  closures", format!("{pull}?view=closures")),
        ("  closures, by size, page 50", format!("{pull}?view=closures&order=size&page=50")),
        ("  closures, searched", format!("{pull}?view=closures&q=json")),
        ("  closure of one", format!("{pull}?view=closures&attr={}", growing)),
        ("  metadata", format!("{pull}?view=metadata")),
        ("  metadata, one field, searched", format!("{pull}?view=metadata&field=version&q=json")),
        ("  diff", format!("{pull}?view=diff")),
        ("  diff, side by side, page 2", format!("{pull}?view=diff&layout=split&page=2")),
        ("  diff, all of one file", format!("{pull}?view=diff&file=pkgs/top-level/all-packages.nix&context=all")),
        ("  timeline", format!("{pull}?view=timeline")),
        ("a search", "/search?q=json".to_owned()),
        ("the repository", "/r/local/scale".to_owned()),
        ("the branch", "/r/local/scale/branch/main".to_owned()),
        ("the queue", "/queue".to_owned()),
        ("the settings", "/settings".to_owned()),
    ];
    for (what, address) in &pages {
        let mut connection = Connection::open(at);
        let cold = connection.get(address);
        if cold.status != 200 {
            println!("  {what:<34} answers {}", cold.status);
            continue;
        }
        let used = cpu(appliance.pid());
        let mut times: Vec<Duration> = (0..ROUNDS).map(|_| connection.get(address).took).collect();
        let used = ms(cpu(appliance.pid()) - used) / ROUNDS as f64;
        times.sort();
        println!(
            "  {what:<34} {:6.2} ms {:6.2} ms {used:6.1} ms {:8.1} KiB   the first time {:.1} ms",
            ms(times[ROUNDS / 2]),
            ms(times[ROUNDS * 99 / 100]),
            cold.bytes as f64 / 1024.0,
            ms(cold.took)
        );
    }
    first_load(at, pull);
    list(at, appliance.pid());
}

/// Its closure has other paths on head.
fn grew(change: &serde_json::Value) -> bool {
    change["closure"]["added"].as_array().is_some_and(|added| !added.is_empty())
}

/// What it costs to publish a report, which is done again and again while a review builds; and to read it.
async fn publication(state: &StateDir, repository: &Path, name: &RepositoryName, changes: usize) {
    scale::furnish(state, repository, name, 1, 10).await;
    let db = Db::open(state).expect("a database");
    let id = db.latest_reviews(1).await.expect("its reviews").remove(0).id;
    let revision = || Revision { rev: "0".repeat(40).parse().expect("a commit"), reference: None };
    let (header, comparison, facts) = scale::material(&id, name, revision(), revision(), changes);
    for what in ["once", "and again"] {
        let began = Instant::now();
        let report = Arc::new(report(&header, &comparison, &facts));
        let worked_out = began.elapsed();
        db.store_report(report).await.expect("it is stored");
        let stored = began.elapsed() - worked_out;
        let began = Instant::now();
        let read = db.report(&id).await.expect("it is there").expect("a report");
        assert_eq!(read.changes.len(), changes);
        println!(
            "a report of {changes} changes, {what}: worked out in {:.0} ms, stored in {:.0} ms, read in {:.0} ms",
            ms(worked_out),
            ms(stored),
            ms(began.elapsed())
        );
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The page and everything that it loads, as a browser without a cache does.
fn first_load(at: SocketAddr, page: &str) {
    let mut connection = Connection::open(at);
    let answer = connection.get(page);
    let page = inflated(&answer.body);
    let mut bytes = answer.bytes;
    let mut requests = 1;
    for part in page.split('"').filter(|part| part.starts_with("/assets/")) {
        bytes += connection.get(part).bytes;
        requests += 1;
    }
    println!(
        "first load of the review: {requests} requests, {:.1} KiB compressed, {:.0} KiB of page",
        bytes as f64 / 1024.0,
        page.len() as f64 / 1024.0
    );
}

fn inflated(body: &[u8]) -> String {
    String::from_utf8_lossy(&zstd::decode_all(body).expect("zstd")).into_owned()
}

/// What the server used of the processors. proc(5): utime and stime, the 14th and 15th field, in hundredths of a second.
fn cpu(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("what it used");
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    Duration::from_millis(10 * fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum::<u64>())
}

fn list(at: SocketAddr, server: u32) {
    for (what, encoding) in [("gzip", "gzip"), ("zstd", "zstd")] {
        let (began, used) = (Instant::now(), cpu(server));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                std::thread::spawn(move || {
                    let mut connection = Connection::open(at);
                    let mut times = Vec::new();
                    while began.elapsed() < WHILE {
                        let answer = connection.ask("/", encoding);
                        assert_eq!(answer.status, 200);
                        times.push(answer.took);
                    }
                    times
                })
            })
            .collect();
        let mut times: Vec<Duration> = clients.into_iter().flat_map(|client| client.join().expect("a client")).collect();
        times.sort();
        println!(
            "the list, {CLIENTS} clients ({what}): {:.0} requests a second, p50 {:.1} ms, p99 {:.1} ms; of the server's processors {:.2} ms each",
            times.len() as f64 / began.elapsed().as_secs_f64(),
            ms(times[times.len() / 2]),
            ms(times[times.len() * 99 / 100]),
            ms(cpu(server) - used) / times.len() as f64
        );
    }
}

/// One that is kept open, as a browser does, with its cookie.
struct Connection {
    at: SocketAddr,
    stream: BufReader<TcpStream>,
    cookie: Option<String>,
}

struct Answer {
    status: u16,
    /// Of headers and body.
    bytes: usize,
    body: Vec<u8>,
    took: Duration,
}

impl Connection {
    fn open(at: SocketAddr) -> Self {
        let stream = TcpStream::connect(at).expect("a connection");
        stream.set_nodelay(true).expect("an option");
        Self { at, stream: BufReader::new(stream), cookie: None }
    }

    fn get(&mut self, address: &str) -> Answer {
        self.ask(address, "zstd")
    }

    fn ask(&mut self, address: &str, encoding: &str) -> Answer {
        let cookie = self.cookie.as_ref().map(|cookie| format!("cookie: {cookie}\r\n")).unwrap_or_default();
        let request = format!("GET {address} HTTP/1.1\r\nhost: {}\r\naccept-encoding: {encoding}\r\n{cookie}\r\n", self.at);
        let began = Instant::now();
        self.stream.get_mut().write_all(request.as_bytes()).expect("it is sent");
        let first = self.line();
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let (mut bytes, mut length, mut chunked) = (first.len() + 2, 0, false);
        loop {
            let line = self.line();
            bytes += line.len() + 2;
            let Some((name, value)) = line.split_once(": ") else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().expect("a length"),
                "transfer-encoding" => chunked = value == "chunked",
                "set-cookie" => self.cookie = value.split(';').next().map(str::to_owned),
                _ => {}
            }
        }
        let mut body = Vec::new();
        if chunked {
            loop {
                let size = usize::from_str_radix(&self.line(), 16).expect("the size of a chunk");
                let from = body.len();
                body.resize(from + size, 0);
                self.stream.read_exact(&mut body[from..]).expect("a chunk");
                self.line();
                if size == 0 {
                    break;
                }
            }
        } else {
            body.resize(length, 0);
            self.stream.read_exact(&mut body).expect("the body");
        }
        Answer { status, bytes: bytes + body.len(), body, took: began.elapsed() }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }
}
