//! Works through a part of a plan: one recording process, and those forked from it, of which one runs at a time.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;

use super::bindings::Tracked;
use super::checkout::Checkout;
use super::control::{Control, Order};
use super::copies::Copies;
use super::fragments::Ledger;
use super::frames::{Frames, MARKS, OWN_PLACE};
use super::reads::{Bounds, Event, Reads, Surroundings};
use super::set::Fragment;
use super::shape::Part;
use super::work::{Below, Others, Work};
use crate::domain::{Attr, AttrPath};
use crate::eval::driver::{Driver, Heard, Launch, Telling, Usage};
use crate::eval::frontier::Found;
use crate::eval::launch::TREE;
use crate::eval::terms::{EvalFailure, Limits};
use crate::eval::worker::{Described, Guard, Spent};
use crate::eval::{message, nix_text};

/// What is recorded is handed out this often.
const PART: Duration = Duration::from_secs(2);

/// An attribute to be recorded, or evaluated on the way.
pub struct Item {
    pub path: AttrPath,
    /// As the driver takes it, but for its index.
    pub asked: String,
    pub part: Part,
}

/// What the chains of one recording have in common.
pub struct Common<'a> {
    pub launch: &'a Launch,
    pub checkout: PathBuf,
    pub surroundings: Surroundings,
    pub tracked: &'a Tracked,
    pub limits: Limits,
    pub places: &'a Arc<Semaphore>,
    pub control: &'a dyn Control,
    pub forking: Forking,
    pub items: &'a [Item],
    pub fragments: mpsc::UnboundedSender<Fragment>,
}

/// Whether the evaluating process can be forked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forking {
    Yes,
    No,
}

pub struct Chain<'a> {
    common: &'a Common<'a>,
    work: Work,
    process: Option<Process>,
    forks: u64,
    /// The item that is being evaluated, since when.
    open: Option<(usize, Instant)>,
    /// What it said that it needs.
    needs: Option<Vec<String>>,
    handed_out: Instant,
    place: Option<OwnedSemaphorePermit>,
    done: Done,
}

/// What a chain came to.
#[derive(Debug, Default)]
pub struct Done {
    pub spent: Spent,
    pub forks: u64,
    pub finished: usize,
    pub skipped: Vec<AttrPath>,
    pub unknown: Vec<String>,
    pub stopped: bool,
    /// Of items that were asked for it.
    pub needs: Vec<Needs>,
}

/// What an item said of itself.
#[derive(Debug)]
pub struct Needs {
    pub item: usize,
    /// The store paths that its derivation is made from.
    pub paths: Vec<String>,
    /// How long it took to evaluate it.
    pub took: Duration,
}

struct Process {
    driver: Driver,
    _guard: Guard,
    stream: Arc<Mutex<Stream>>,
    reader: JoinHandle<()>,
}

struct Stream {
    reads: Reads,
    ledger: Ledger,
}

/// Why a chain does not go on as it was.
#[derive(Debug)]
enum Stop {
    /// The control says so.
    Ordered,
    /// A forked process ended before its time.
    Gone(usize),
    /// The whole process did.
    Died,
    Silent,
    /// The jobset itself can't be evaluated.
    Broken(String),
}

/// How a run of items ended.
enum Finish {
    /// The process that evaluated them goes on.
    Here,
    /// It was forked for them and has ended.
    Returned,
}

impl<'a> Chain<'a> {
    pub fn new(common: &'a Common<'a>, work: Work) -> Self {
        Self {
            common,
            work,
            needs: None,
            process: None,
            forks: 0,
            open: None,
            handed_out: Instant::now(),
            place: None,
            done: Done::default(),
        }
    }

    pub async fn run(mut self) -> Result<Done, EvalFailure> {
        // a process that dies of nothing in particular is started again, not for ever
        const IDLE_DEATHS: u32 = 3;
        let mut idle_deaths = 0;
        while self.work.left(0) > 0 && idle_deaths < IDLE_DEATHS {
            let left = self.work.left(0);
            let ended = match self.go_on().await {
                Ok(()) => {
                    self.start().await?;
                    self.whole().await
                }
                Err(stop) => Err(stop),
            };
            let printed = self.process.as_mut().map(|process| process.driver.printed()).unwrap_or_default();
            let usage = self.end().await;
            match ended {
                Ok(()) => {}
                Err(Stop::Ordered) => {
                    self.done.stopped = true;
                    return Ok(self.done);
                }
                Err(Stop::Broken(text)) => return Err(EvalFailure::Jobset(text)),
                Err(Stop::Silent) => self.skip_open(),
                Err(Stop::Died | Stop::Gone(_)) => {
                    if self.open.is_none() && !usage.status.success() && self.done.finished == 0 && idle_deaths > 0 {
                        return Err(EvalFailure::before_beginning(&usage, &printed));
                    }
                    self.suspect_open();
                }
            }
            idle_deaths = if self.work.left(0) < left { 0 } else { idle_deaths + 1 };
        }
        Ok(self.done)
    }

    async fn start(&mut self) -> Result<(), EvalFailure> {
        let failed = |error: anyhow::Error| EvalFailure::Start(format!("{error:#}"));
        let driver = Driver::start(self.common.launch).await.map_err(failed)?;
        let (guard, mut driver) = Guard::around(driver);
        let Some(trace) = driver.trace.take() else {
            return Err(EvalFailure::Start("the recording process tells nothing of its reads".into()));
        };
        let trace = trace.into_blocking_fd().map_err(|error| failed(error.into()))?;
        let surroundings = Surroundings { nonce: driver.nonce().to_owned(), ..self.common.surroundings.clone() };
        let reads = Reads::new(surroundings, Box::new(Checkout::new(self.common.checkout.clone())));
        let stream = Arc::new(Mutex::new(Stream { reads, ledger: Ledger::default() }));
        let theirs = stream.clone();
        let reader = tokio::task::spawn_blocking(move || follow(std::fs::File::from(trace), &theirs));
        self.process = Some(Process { driver, _guard: guard, stream, reader });
        Ok(())
    }

    /// Ends the process and hands out what is whole.
    async fn end(&mut self) -> Usage {
        let Some(process) = self.process.take() else { return Usage::default() };
        let usage = process.driver.stop().await;
        if let Err(error) = process.reader.await {
            tracing::warn!("the stream of a recording was not read to its end: {error}");
        }
        self.done.spent = self.done.spent.clone().join(Spent::of(&usage));
        let mut stream = lock(&process.stream);
        for reason in stream.reads.unknown() {
            if !self.done.unknown.contains(reason) {
                self.done.unknown.push(reason.clone());
            }
        }
        hand_out(&mut stream, &self.common.fragments);
        usage
    }

    /// From the first group on, in the process itself.
    async fn whole(&mut self) -> Result<(), Stop> {
        let items = self.work.evaluated(0);
        self.here(&items).await?;
        self.below(0).await
    }

    /// The groups below one that the process has evaluated, all in that process where it can't be forked. Else the last of them in this process itself, each other in a process that
    /// is forked for it. So the processes that live at once are as many as the plan is wide, not as it is deep.
    fn below(&mut self, group: usize) -> BoxFuture<'_, Result<(), Stop>> {
        async move {
            let mut below = Below::of(group);
            while let Some((next, others)) = below.next(&self.work) {
                if others == Others::Wait && self.common.forking == Forking::Yes {
                    self.branch(next).await?;
                    continue;
                }
                self.go_on().await?;
                let items = self.work.evaluated(next);
                self.here(&items).await?;
                match others {
                    Others::Wait => self.below(next).await?,
                    Others::None => below = Below::of(next),
                }
            }
            Ok(())
        }
        .boxed()
    }

    /// A group and those below it, in a process that is forked for them: again, without what it died of, until nothing is left.
    async fn branch(&mut self, group: usize) -> Result<(), Stop> {
        const IDLE_DEATHS: u32 = 2;
        let mut idle_deaths = 0;
        while self.work.left(group) > 0 {
            self.go_on().await?;
            self.forks += 1;
            self.done.forks += 1;
            let id = self.forks as usize;
            let left = self.work.left(group);
            match self.forked(id, group).await {
                Err(Stop::Gone(gone)) if gone == id => self.suspect_open(),
                other => other?,
            }
            idle_deaths = if self.work.left(group) < left { 0 } else { idle_deaths + 1 };
            if idle_deaths == IDLE_DEATHS {
                for item in self.work.give_up(group) {
                    self.skipped(item);
                }
            }
        }
        Ok(())
    }

    async fn forked(&mut self, id: usize, group: usize) -> Result<(), Stop> {
        let items = self.work.evaluated(group);
        let is_leaf = self.work.is_leaf(group);
        let verb = if is_leaf { "leaf" } else { "fork" };
        let run = format!("{verb} {id} {}", self.list(&items));
        self.process()?.begin(&run).await;
        loop {
            match self.hear().await {
                Heard::Told(Telling::Forked, forked, _) if forked == id => break,
                Heard::Told(Telling::Returned, returned, _) if returned == id => return Err(Stop::Gone(id)),
                Heard::Silent => return Err(Stop::Silent),
                Heard::Died => return Err(Stop::Died),
                Heard::Began(_) | Heard::Told(..) | Heard::Ended => {}
            }
        }
        self.process()?.end().await;
        if let Finish::Returned = self.listen(&items, Some(id)).await? {
            return if is_leaf { Ok(()) } else { Err(Stop::Gone(id)) };
        }
        self.below(group).await?;
        self.process()?.begin("leave null").await;
        loop {
            match self.hear().await {
                Heard::Told(Telling::Returned, returned, _) if returned == id => return Ok(()),
                Heard::Told(Telling::Returned, returned, _) => return Err(Stop::Gone(returned)),
                Heard::Silent => return Err(Stop::Silent),
                Heard::Died => return Err(Stop::Died),
                Heard::Began(_) | Heard::Told(..) | Heard::Ended => {}
            }
        }
    }

    /// Items in the process that is spoken to.
    async fn here(&mut self, items: &[usize]) -> Result<(), Stop> {
        if items.is_empty() {
            return Ok(());
        }
        let run = format!("record {}", self.list(items));
        self.process()?.ask(&run).await;
        self.listen(items, None).await.map(|_| ())
    }

    /// Hears of `items` until the last is finished. An error that nothing caught is a result like others; the process goes on after it.
    async fn listen(&mut self, items: &[usize], fork: Option<usize>) -> Result<Finish, Stop> {
        let mut told = 0;
        self.open = None;
        loop {
            match self.hear().await {
                Heard::Began(item) => {
                    self.open = Some((item, Instant::now()));
                    self.needs = None;
                }
                Heard::Told(Telling::Inputs, _, value) => self.needs = serde_json::from_value(value).ok(),
                Heard::Told(Telling::Value, item, value) if items.get(told) == Some(&item) => {
                    if let Ok(described) = serde_json::from_value::<Described>(value) {
                        self.found(item, described.found());
                        told += 1;
                    }
                }
                Heard::Told(Telling::Returned, id, _) => {
                    return if fork == Some(id) && told == items.len() { Ok(Finish::Returned) } else { Err(Stop::Gone(id)) };
                }
                Heard::Told(..) => {}
                Heard::Ended if told == items.len() => return Ok(Finish::Here),
                Heard::Ended => {
                    let printed = self.process()?.printed();
                    let error = message::parse(&printed, TREE);
                    let culprit = items[told];
                    if self.open.is_none_or(|(open, _)| open != culprit) {
                        return Err(Stop::Broken(error.message));
                    }
                    self.found(culprit, Found::Value(Attr::Failed(error)));
                    told += 1;
                    let run = format!("finish {culprit}\nsnowgate.record {}", self.list(&items[told..]));
                    self.process()?.ask(&run).await;
                }
                Heard::Silent => return Err(Stop::Silent),
                Heard::Died => return Err(Stop::Died),
            }
        }
    }

    async fn hear(&mut self) -> Heard {
        let limit = Duration::from_secs(self.common.limits.seconds_per_attribute);
        match &mut self.process {
            Some(process) => process.driver.hear(limit).await,
            None => Heard::Died,
        }
    }

    fn process(&mut self) -> Result<&mut Driver, Stop> {
        self.process.as_mut().map(|process| &mut process.driver).ok_or(Stop::Died)
    }

    fn found(&mut self, item: usize, found: Found) {
        let took = self.open.take().map_or(Duration::ZERO, |(_, since)| since.elapsed());
        let millis = took.as_millis() as u32;
        if let Some(paths) = self.needs.take() {
            self.done.needs.push(Needs { item, paths, took });
        }
        if self.work.is_wanted(item)
            && let Some(process) = &self.process
        {
            let found = self.common.tracked.restore_found(found);
            lock(&process.stream).ledger.found(item, self.common.items[item].path.clone(), found, millis);
            self.done.finished += 1;
            self.work.finish(item);
        }
    }

    fn list(&self, items: &[usize]) -> String {
        let mut list = String::from("[");
        for item in items {
            list.push_str(&format!(" {{ i = {item}; {} }}", self.common.items[*item].asked));
        }
        list.push_str(" ]");
        list
    }

    fn skip_open(&mut self) {
        if let Some((item, _)) = self.open.take() {
            self.skip(item);
        }
    }

    fn skip(&mut self, item: usize) {
        if self.work.skip(item) {
            self.skipped(item);
        }
    }

    fn skipped(&mut self, item: usize) {
        self.done.skipped.push(self.common.items[item].path.clone());
    }

    fn suspect_open(&mut self) {
        if let Some((item, _)) = self.open.take()
            && !self.work.suspect(item)
        {
            self.skip(item);
        }
    }

    /// Between two groups: hands out what is whole, and waits or ends where it is told to.
    async fn go_on(&mut self) -> Result<(), Stop> {
        if self.handed_out.elapsed() > PART {
            self.part();
        }
        loop {
            match self.common.control.order() {
                Order::Go => break,
                Order::Stop => return Err(Stop::Ordered),
                Order::Pause => {
                    self.part();
                    self.place = None;
                    self.common.control.changed().await;
                }
            }
        }
        if self.place.is_none() {
            self.place = self.common.places.clone().acquire_owned().await.ok();
        }
        Ok(())
    }

    fn part(&mut self) {
        if let Some(process) = &self.process {
            hand_out(&mut lock(&process.stream), &self.common.fragments);
        }
        self.handed_out = Instant::now();
    }
}

fn lock(stream: &Mutex<Stream>) -> MutexGuard<'_, Stream> {
    stream.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn hand_out(stream: &mut Stream, to: &mpsc::UnboundedSender<Fragment>) {
    let Stream { reads, ledger } = stream;
    if !ledger.is_empty() && to.send(ledger.take(reads)).is_err() {
        tracing::debug!("nobody takes what is recorded");
    }
}

/// Takes the stream to its end, which is that of the process.
fn follow(mut trace: std::fs::File, stream: &Mutex<Stream>) {
    let mut frames = Frames::default();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match trace.read(&mut buffer) {
            Ok(0) => return,
            Ok(read) => frames.add(&buffer[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            // without the rest nothing more is finished
            Err(error) => return tracing::warn!("reading the stream of a recording: {error}"),
        }
        let mut stream = lock(stream);
        let Stream { reads, ledger } = &mut *stream;
        for frame in frames.by_ref() {
            if let Some(Event::Item(item, node)) = reads.take(&frame) {
                ledger.finished(item, node);
            }
        }
    }
}

/// What never changes for the evaluating processes of `launch` while their key is the same.
pub fn surroundings(launch: &Launch, copies: &Copies) -> Surroundings {
    // of the whole store nothing is read but by the program itself, before it begins; what an evaluation wrote there lies in memory
    let is_constant = |target: &&PathBuf| **target != launch.tree && *target != Path::new("/nix/store");
    let views = launch.spec.views.iter().map(|view| &view.target).filter(is_constant);
    // the program's own: its memory, its devices, what it writes itself
    let own = ["/proc", "/dev", OWN_PLACE].map(PathBuf::from);
    Surroundings {
        tree: launch.tree.to_string_lossy().into_owned(),
        marks: MARKS.to_owned(),
        nonce: String::new(),
        driver: launch.driver.to_string_lossy().into_owned(),
        constant: views.cloned().chain(own).map(|path| path.to_string_lossy().into_owned()).collect(),
        instrumented: copies.names().clone(),
        bounds: Bounds::default(),
    }
}

/// A path as the driver takes it.
pub fn names(path: &AttrPath) -> String {
    nix_text::strings(path.names().iter().map(String::as_str))
}
