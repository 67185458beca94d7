//! `snowgate review`: one change of a local git repository, from its two commits to the verdict.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgAction, Args};
use tokio_util::sync::CancellationToken;

use super::progress::{Progress, Style};
use super::report_text::Colour;
use super::{Status, complain, report_text, signals, start_tracing};
use crate::actors::evaluator::Reuse;
use crate::actors::events::Events;
use crate::actors::intake::begin::new_id;
use crate::actors::open::{self, For};
use crate::actors::recorder::idle::Idle;
use crate::actors::reviewer::{Build, Done, Fault, Order, Records, Selection, WhichTree, Wishes};
use crate::actors::reviews::Reviews;
use crate::actors::scheduler::Retry;
use crate::config::repository::JobsetSource;
use crate::config::{Settings, StateDir};
use crate::db::{Db, NewReview};
use crate::domain::{AttrPath, RepositoryName, System};
use crate::git::Repository;
use crate::review::report::{Decision, EvalErrorStatus, EvaluationRow, Report, Revision, State};

const EXAMPLES: &str = "\
Examples:
  snowgate review                                   the branch that is checked out, as it would be merged
  snowgate review ~/src/packages --head my-branch   another repository and branch
  snowgate review --base HEAD~1 --no-build          what the last commit would rebuild
  snowgate review --attr python3Packages --markdown report.md

Exit status: 0 mergeable, 1 blocked, 2 a mistake in the command or the configuration, 3 not completed.";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The git repository: a work tree, any directory in it, or a bare repository.
    #[arg(default_value = ".")]
    repo: PathBuf,
    /// What the change is compared with; by default the merge base with the default branch.
    #[arg(long, value_name = "REV")]
    base: Option<String>,
    /// The change.
    #[arg(long, value_name = "REV", default_value = "HEAD")]
    head: String,
    /// A Nix file, relative to the root of the repository; by default the jobsets of snowgate.toml, else release.nix, default.nix,
    /// or the flake.
    #[arg(long, value_name = "PATH", conflicts_with = "flake")]
    file: Option<String>,
    /// The flake; an output of it, say `packages` or `hydraJobs`, or by default packages and checks.
    #[arg(long, value_name = "OUTPUT", num_args = 0..=1, default_missing_value = "")]
    flake: Option<String>,
    /// Only what lies at or below this attribute; may be given several times.
    #[arg(long, value_name = "PREFIX")]
    attr: Vec<AttrPath>,
    /// An argument of the file's function, as a Nix expression.
    #[arg(long, value_names = ["NAME", "EXPR"], num_args = 2, allow_hyphen_values = true, action = ArgAction::Append)]
    arg: Vec<String>,
    /// An argument of the file's function, as a string.
    #[arg(long, value_names = ["NAME", "VALUE"], num_args = 2, allow_hyphen_values = true, action = ArgAction::Append)]
    argstr: Vec<String>,
    /// A system to evaluate for, by default this machine's; may be given several times.
    #[arg(long, value_name = "SYS")]
    system: Vec<String>,
    /// Only this variant of snowgate.toml's jobsets.
    #[arg(long, value_name = "NAME")]
    variant: Option<String>,
    /// Enter every attribute set, whether it says recurseForDerivations or not (as Hydra does with a release.nix).
    #[arg(long)]
    force_recurse: bool,
    /// Review the merge of head into the base (the default).
    #[arg(long, overrides_with = "no_merge")]
    merge: bool,
    /// Review head itself.
    #[arg(long)]
    no_merge: bool,
    /// Evaluate and compare only.
    #[arg(long)]
    no_build: bool,
    /// Builds at once; by default one for each processor.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    jobs: Option<u32>,
    /// Evaluating processes at once; by default one for each processor.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    eval_workers: Option<u32>,
    /// Evaluate everything, whatever is known from before.
    #[arg(long)]
    full_eval: bool,
    /// Record what the evaluation of the base reads, before head is evaluated: head and every later change then cost only what they
    /// change. Without this it is recorded when nothing else is to be done.
    #[arg(long)]
    trace: bool,
    /// Build again what is remembered as failed.
    #[arg(long)]
    retry: bool,
    /// A setting of Nix's, as in nix.conf.
    #[arg(long, value_names = ["NAME", "VALUE"], num_args = 2, allow_hyphen_values = true, action = ArgAction::Append)]
    option: Vec<String>,
    /// Where the state lives; by default $XDG_STATE_HOME/snowgate.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Write the report as JSON to a file, or to standard output (-).
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the report as markdown, fit for a pull request, to a file, or to standard output (-).
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Show no progress.
    #[arg(long)]
    quiet: bool,
}

/// Why there is no report, and the status that says so.
struct Stop {
    status: Status,
    sentence: String,
}

impl Stop {
    fn usage(sentence: impl std::fmt::Display) -> Self {
        Self { status: Status::Usage, sentence: sentence.to_string() }
    }

    fn incomplete(sentence: impl std::fmt::Display) -> Self {
        Self { status: Status::NotCompleted, sentence: sentence.to_string() }
    }
}

pub fn main(arguments: Arguments) -> ExitCode {
    start_tracing("error");
    let result = actix::System::new().block_on(review(&arguments));
    match result {
        Ok(status) => status.into(),
        Err(stop) => complain(stop.status, stop.sentence),
    }
}

async fn review(arguments: &Arguments) -> Result<Status, Stop> {
    let settings = arguments.settings();
    let state = arguments.state.clone().map(StateDir::new).or_else(StateDir::default_for_user);
    let state = state.ok_or_else(|| Stop::usage("there is no state directory: set HOME, or name one with --state"))?;
    check_writable(arguments)?;
    let db = Db::open(&state).map_err(Stop::incomplete)?;
    let reviewed = with_database(arguments, &settings, &state, db.clone()).await;
    db.close().await;
    open::last_one_out().await;
    reviewed
}

/// What a person may not have meant.
async fn notes(
    arguments: &Arguments,
    git: &Repository,
    (base, head): (&Revision, &Revision),
    events: &Events,
) -> Result<(), Stop> {
    let say = |text: String| events.notice(text);
    if base.rev == head.rev {
        say(format!("base and head are one commit ({}): there is nothing to compare; --base names another", base.rev.short()));
    }
    if arguments.head == "HEAD" && git.has_uncommitted_changes().await.map_err(Stop::incomplete)? {
        say("there are uncommitted changes: they are not reviewed".to_owned());
    }
    Ok(())
}

/// A report that can't be written must not be noticed after an hour of builds.
fn check_writable(arguments: &Arguments) -> Result<(), Stop> {
    for file in [&arguments.json, &arguments.markdown].into_iter().flatten().filter(|file| !is_stdout(file)) {
        let opened = std::fs::OpenOptions::new().create(true).append(true).open(file);
        opened.map_err(|error| Stop::usage(format!("{} can't be written: {error}", file.display())))?;
    }
    Ok(())
}

async fn with_database(arguments: &Arguments, settings: &Settings, state: &StateDir, db: Db) -> Result<Status, Stop> {
    let git = Repository::open(&arguments.repo, &state.objects()).await.map_err(Stop::incomplete)?;
    let (base, head) = revisions(arguments, &git).await?;
    let events = Events::default();
    let closing = CancellationToken::new();
    let id = new_id();
    let style = Style::for_stderr(arguments.quiet);
    let progress = Progress::start(events.subscribe(), id.clone(), style);
    let program = open::own_program().map_err(Stop::incomplete)?;
    let purpose = if arguments.no_build { For::OneEvaluation } else { For::OneReview };
    let opened = open::open(program, settings, state, db.clone(), events.clone(), closing.clone(), purpose).await;
    let opened = opened.map_err(Stop::incomplete)?;
    notes(arguments, &git, (&base, &head), &events).await?;
    let order = Order {
        id: id.clone(),
        repository: name_of(git.path()),
        number: None,
        git,
        base,
        head,
        created_at: jiff::Timestamp::now(),
        wishes: arguments.wishes()?,
    };
    remember(&db, &order).await.map_err(Stop::incomplete)?;
    let reviews = Reviews::new(opened.desk.clone(), closing.clone());
    let spare_time = !arguments.no_build && !arguments.full_eval;
    let idle = spare_time.then(|| Idle::beside(&opened.desk, &order));
    let mut done = reviews.begin(order);
    let (closed, (cancelling, cancelled)) = (closing.clone(), (reviews.clone(), id.clone()));
    actix::spawn(async move {
        let asked = tokio::select! {
            asked = signals::asked_to_end() => asked,
            // what this holds keeps connections, and with them daemons, open
            () = closed.cancelled() => return,
        };
        match asked {
            Ok(()) => drop(cancelling.cancel(&cancelled)),
            Err(error) => tracing::warn!("signals can't be listened to: {error}"),
        }
    });
    let ended = done.wait_for(Option::is_some).await.ok().and_then(|done| done.clone());
    progress.finish().await;
    // the report is out before the house is closed behind it
    let outcome = match ended {
        Some(done) => finish(arguments, &db, &id, done).await,
        None => Err(Stop::incomplete("the review ended without a report; this is a bug of Snowgate's")),
    };
    if let Some(idle) = idle {
        idle.end().await;
    }
    closing.cancel();
    for pool in &opened.pools {
        pool.ended().await;
    }
    opened.desk.evaluator.ended().await;
    outcome
}

async fn finish(arguments: &Arguments, db: &Db, id: &crate::domain::ReviewId, done: Done) -> Result<Status, Stop> {
    match &done.fault {
        Some(Fault::Configuration(sentence)) => return Err(Stop::usage(sentence)),
        Some(Fault::House(sentence)) => return Err(Stop::incomplete(sentence)),
        Some(Fault::Cancelled) => {
            return Err(Stop::incomplete(
                "interrupted; what is evaluated and built is kept, the same command goes on from there",
            ));
        }
        None => {}
    }
    let report = db.report(id).await.map_err(Stop::incomplete)?;
    let report = report.ok_or_else(|| Stop::incomplete("the report was not stored; this is a bug of Snowgate's"))?;
    let output = arguments.flake.as_deref().and_then(|output| output.parse::<AttrPath>().ok());
    if let Some(attr) = arguments.attr.iter().chain(&output).find(|attr| is_nowhere(&report, attr)) {
        return Err(Stop::usage(format!("there is no attribute `{attr}`, neither on base nor on head")));
    }
    write_reports(arguments, &report).map_err(Stop::incomplete)?;
    Ok(match report.verdict.decision {
        Decision::Mergeable => Status::Mergeable,
        Decision::Blocked => Status::Blocked,
        Decision::Pending => Status::NotCompleted,
    })
}

/// A typing error must not read as "nothing changes".
fn is_nowhere(report: &Report, attr: &AttrPath) -> bool {
    let is_missing = |evaluated: &EvaluationRow| {
        report.eval_errors.iter().any(|error| {
            error.status == EvalErrorStatus::Still
                && error.attr == *attr
                && (&error.jobset, &error.system) == (&evaluated.jobset, &evaluated.system)
                && error.message.starts_with("attribute '")
                && error.message.contains("missing")
        })
    };
    !report.evaluations.is_empty() && report.evaluations.iter().all(is_missing)
}

fn write_reports(arguments: &Arguments, report: &Report) -> std::io::Result<()> {
    let mut text = true;
    if let Some(file) = &arguments.json {
        let json = serde_json::to_string_pretty(report)? + "\n";
        text &= write_to(file, &json)?;
    }
    if let Some(file) = &arguments.markdown {
        text &= write_to(file, &crate::review::markdown::render(report))?;
    }
    if text {
        let terminal = std::io::stdout().is_terminal();
        let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let width = terminal.then(|| usize::from(console::Term::stdout().size().1));
        print(&report_text::render(report, if colour { Colour::Always } else { Colour::Never }, width))?;
    }
    Ok(())
}

fn is_stdout(file: &Path) -> bool {
    file == Path::new("-")
}

/// Whether standard output is still free for the text.
fn write_to(file: &Path, text: &str) -> std::io::Result<bool> {
    if is_stdout(file) {
        print(text)?;
        return Ok(false);
    }
    std::fs::write(file, text)?;
    Ok(true)
}

fn print(text: &str) -> std::io::Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        // `snowgate review | head`
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

async fn revisions(arguments: &Arguments, git: &Repository) -> Result<(Revision, Revision), Stop> {
    let head = git.resolve(&arguments.head).await.map_err(Stop::incomplete)?;
    let (base, base_ref) = match &arguments.base {
        Some(base) => (git.resolve(base).await.map_err(Stop::incomplete)?, base.clone()),
        None => {
            let branch = git.default_branch().await.map_err(Stop::incomplete)?;
            let tip = git.resolve(&branch).await.map_err(Stop::incomplete)?;
            (git.merge_base(&tip, &head).await.map_err(Stop::incomplete)?, branch)
        }
    };
    // an id is no name
    let name = |text: &str, rev: &str| (!rev.starts_with(text)).then(|| text.to_owned());
    let base_ref = name(&base_ref, base.as_str());
    let head_ref = match arguments.head.as_str() {
        "HEAD" => git.current_branch().await.map_err(Stop::incomplete)?,
        head_ref => name(head_ref, head.as_str()),
    };
    Ok((Revision { rev: base, reference: base_ref }, Revision { rev: head, reference: head_ref }))
}

fn name_of(path: &Path) -> RepositoryName {
    let name = path.file_name().map_or_else(|| "root".into(), |name| name.to_string_lossy().into_owned());
    RepositoryName::new(format!("local/{}", name.strip_suffix(".git").filter(|name| !name.is_empty()).unwrap_or(&name)))
}

/// The review's row. Of an earlier run that was killed nothing goes on by itself: its reviews are over.
async fn remember(db: &Db, order: &Order) -> Result<(), crate::db::DbError> {
    for left in db.open_reviews().await?.into_iter().filter(|row| row.number.is_none()) {
        db.set_review_state(&left.id, State::Cancelled, None).await?;
    }
    db.abandon_attempts().await?;
    let review = NewReview {
        id: order.id.clone(),
        repository: order.repository.clone(),
        number: None,
        base_rev: order.base.rev.clone(),
        base_ref: order.base.reference.clone(),
        head_rev: order.head.rev.clone(),
        head_ref: order.head.reference.clone(),
        tree: None,
    };
    db.create_review(review).await?;
    Ok(())
}

impl Arguments {
    fn settings(&self) -> Settings {
        let mut settings = Settings::default();
        settings.build.jobs = self.jobs;
        settings.build.options = pairs(&self.option);
        settings.eval.workers = self.eval_workers;
        settings
    }

    fn wishes(&self) -> Result<Wishes, Stop> {
        let source = match (&self.file, &self.flake) {
            (Some(file), _) => Some(JobsetSource::File(file.clone())),
            (None, Some(output)) => Some(JobsetSource::Flake(output.clone())),
            (None, None) => None,
        };
        if let Some(JobsetSource::File(file)) = &source
            && file.rsplit('/').next() == Some("flake.nix")
        {
            return Err(Stop::usage(format!("{file} is a flake, not a set of attributes: use --flake in place of --file")));
        }
        if let (Some(variant), true) = (&self.variant, source.is_some()) {
            return Err(Stop::usage(format!("the variant `{variant}` is one of snowgate.toml's: leave out --file and --flake")));
        }
        Ok(Wishes {
            tree: if self.no_merge && !self.merge { WhichTree::Head } else { WhichTree::Merge },
            build: if self.no_build { Build::Nothing } else { Build::Changed },
            retry: if self.retry { Retry::BuildAgain } else { Retry::Remembered },
            reuse: if self.full_eval { Reuse::Nothing } else { Reuse::Known },
            record: if self.trace { Records::Now } else { Records::Otherwise },
            selection: Selection {
                source,
                attrs: self.attr.clone(),
                args: pairs(&self.arg),
                argstrs: pairs(&self.argstr),
                systems: self.system.iter().map(System::new).collect(),
                variant: self.variant.clone(),
                force_recurse: self.force_recurse,
                options: pairs(&self.option),
            },
        })
    }
}

/// `NAME VALUE NAME VALUE …` as clap gathers it.
fn pairs(words: &[String]) -> BTreeMap<String, String> {
    words.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
}
