//! What is shown of each event.

use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Style;
use crate::actors::events::Event;
use crate::domain::{ReviewId, Side};
use crate::review::plain;
use crate::review::words::{count, listing, thousands};

/// Between two plain lines about the same thing; the last word on it is always said.
const PAUSE: Duration = Duration::from_secs(5);

/// How often the clock beside the builds is drawn.
const TICK: Duration = Duration::from_secs(1);
/// Running builds that are named.
const RUNNING: usize = 4;

pub struct Board {
    review: ReviewId,
    view: View,
}

enum View {
    Quiet,
    Lines { base: Pace, head: Pace, recording: Pace, builds: Pace, print: fn(&str) },
    Bars(Box<Bars>),
}

struct Bars {
    all: MultiProgress,
    base: Option<ProgressBar>,
    head: Option<ProgressBar>,
    recording: Option<ProgressBar>,
    builds: Option<ProgressBar>,
    /// Names of what is being built, the oldest first.
    running: Vec<String>,
}

impl Board {
    pub fn new(review: ReviewId, style: Style) -> Self {
        let view = match style {
            Style::Quiet => View::Quiet,
            Style::Lines => View::Lines {
                base: Pace::default(),
                head: Pace::default(),
                recording: Pace::default(),
                builds: Pace::default(),
                print: |line| eprintln!("{line}"),
            },
            Style::Bars => View::Bars(Box::new(Bars::new(ProgressDrawTarget::stderr()))),
        };
        Self { review, view }
    }

    pub fn show(&mut self, event: &Event) {
        if !concerns(event, &self.review) {
            return;
        }
        match &mut self.view {
            View::Quiet => {}
            View::Lines { base, head, recording, builds, print } => {
                let pace = match event {
                    Event::Evaluation { side: Side::Base, .. } => base,
                    Event::Evaluation { side: Side::Head, .. } => head,
                    Event::Recording { .. } => recording,
                    Event::Review { .. }
                    | Event::Builds { .. }
                    | Event::BuildStarted { .. }
                    | Event::BuildEnded { .. }
                    | Event::Repository { .. }
                    | Event::Background
                    | Event::Builders
                    | Event::Notice { .. } => builds,
                };
                if let Some(line) = line(event, pace, Instant::now()) {
                    print(&line);
                }
            }
            View::Bars(bars) => bars.show(event),
        }
    }
}

fn concerns(event: &Event, review: &ReviewId) -> bool {
    match event {
        Event::Review { id, .. } | Event::Evaluation { id, .. } | Event::Recording { id, .. } | Event::Builds { id, .. } => {
            id == review
        }
        Event::BuildStarted { reviews, .. } | Event::BuildEnded { reviews, .. } => reviews.contains(review),
        Event::Repository { .. } | Event::Background | Event::Builders => false,
        Event::Notice { .. } => true,
    }
}

/// When something was said last, and what.
#[derive(Default)]
struct Pace {
    said: Option<Instant>,
    last: String,
}

impl Pace {
    /// The line, if it is new and either final or due.
    fn say(&mut self, line: String, is_final: bool, now: Instant) -> Option<String> {
        let due = self.said.is_none_or(|said| now.duration_since(said) >= PAUSE);
        if line == self.last || !(due || is_final) {
            return None;
        }
        self.said = Some(now);
        self.last.clone_from(&line);
        Some(line)
    }
}

fn side_name(side: Side) -> &'static str {
    match side {
        Side::Base => "base",
        Side::Head => "head",
    }
}

fn line(event: &Event, pace: &mut Pace, now: Instant) -> Option<String> {
    match event {
        Event::Evaluation { side, done, total, errors, .. } => {
            let errors = if *errors > 0 { format!(", {}", count(*errors, "error")) } else { String::new() };
            let line = format!("evaluating {}: {} of {}{errors}", side_name(*side), thousands(*done), count(*total, "attribute"));
            pace.say(line, done == total, now)
        }
        Event::Recording { done, total, .. } => {
            let read = if *total == 1 { "reads" } else { "read" };
            let line = format!("recording what {} of the base {read}: {} done", count(*total, "attribute"), thousands(*done));
            pace.say(line, done == total, now)
        }
        Event::Builds { done, total, failed, running, .. } => {
            let failed_text = if *failed > 0 { format!(", {} failed", thousands(*failed)) } else { String::new() };
            let running_text = if *running > 0 { format!(", {} running", thousands(*running)) } else { String::new() };
            let line =
                format!("building: {} of {} done{running_text}{failed_text}", thousands(*done), count(*total, "derivation"));
            (*total > 0).then(|| pace.say(line, done == total, now)).flatten()
        }
        Event::BuildEnded { drv, outcome, seconds, .. } if !outcome.is_success() => {
            Some(format!("{}: {} after {seconds:.1} s", drv.name(), outcome.words()))
        }
        Event::Notice { text } => Some(plain::line(text)),
        Event::BuildEnded { .. }
        | Event::BuildStarted { .. }
        | Event::Review { .. }
        | Event::Repository { .. }
        | Event::Background
        | Event::Builders => None,
    }
}

impl Bars {
    fn new(target: ProgressDrawTarget) -> Self {
        let all = MultiProgress::with_draw_target(target);
        Self { all, base: None, head: None, recording: None, builds: None, running: Vec::new() }
    }

    fn show(&mut self, event: &Event) {
        match event {
            Event::Evaluation { side, done, total, errors, .. } => {
                let slot = match side {
                    Side::Base => &mut self.base,
                    Side::Head => &mut self.head,
                };
                let bar = slot.get_or_insert_with(|| add(&self.all, &format!("evaluating {}", side_name(*side))));
                bar.set_length(*total);
                bar.set_position(*done);
                bar.set_message(if *errors > 0 { count(*errors, "error") } else { String::new() });
            }
            Event::Recording { done, total, .. } => {
                let bar = self.recording.get_or_insert_with(|| add(&self.all, "recording base"));
                bar.set_length(*total);
                bar.set_position(*done);
            }
            Event::Builds { done, total, failed, .. } if *total > 0 => {
                let bar = self.builds.get_or_insert_with(|| {
                    let bar = add(&self.all, "building");
                    // a build may say nothing for an hour: the clock shows that somebody is at work
                    bar.enable_steady_tick(TICK);
                    bar
                });
                bar.set_length(*total);
                bar.set_position(*done);
                if *failed > 0 {
                    bar.set_prefix(format!("building, {} failed", thousands(*failed)));
                }
                self.name_running();
            }
            Event::BuildStarted { drv, .. } => {
                self.running.push(drv.name().to_owned());
                self.name_running();
            }
            Event::BuildEnded { drv, outcome, seconds, .. } => {
                if let Some(at) = self.running.iter().position(|name| name == drv.name()) {
                    self.running.remove(at);
                }
                self.name_running();
                if !outcome.is_success() {
                    self.above(&format!("{}: {} after {seconds:.1} s", drv.name(), outcome.words()));
                }
            }
            Event::Notice { text } => self.above(&plain::line(text)),
            Event::Builds { .. } | Event::Review { .. } | Event::Repository { .. } | Event::Background | Event::Builders => {}
        }
    }

    fn name_running(&self) {
        if let Some(bar) = &self.builds {
            bar.set_message(listing(&self.running, RUNNING));
        }
    }

    /// A line that stays, above the bars.
    fn above(&self, line: &str) {
        if let Err(error) = self.all.println(line) {
            tracing::debug!(%error, "standard error does not take progress");
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        if let Err(error) = self.all.clear() {
            tracing::debug!(%error, "bars were not cleared");
        }
    }
}

/// A bar that does not fit is broken by the terminal, and each time it is drawn leaves a piece behind.
fn template(columns: u16) -> &'static str {
    match columns {
        0..50 => "{prefix:.15} {pos}/{len} {wide_msg}",
        50..70 => "{prefix:<18} {bar:12} {pos}/{len} {elapsed} {wide_msg}",
        70.. => "{prefix:<18} {bar:24} {pos}/{len} {elapsed} {wide_msg}",
    }
}

fn add(all: &MultiProgress, prefix: &str) -> ProgressBar {
    // a template that does not parse is a fault of this line; the plain bar then does
    let style =
        ProgressStyle::with_template(template(console::Term::stderr().size().1)).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = all.add(ProgressBar::no_length().with_style(style));
    bar.set_prefix(prefix.to_owned());
    bar
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Outcome;
    use crate::review::samples::drv;

    fn builds(done: u64) -> Event {
        Event::Builds { id: ReviewId::new("r"), done, running: 1, total: 9, failed: 0 }
    }

    #[test]
    fn lines_are_few_and_the_last_one_is_said() {
        let mut pace = Pace::default();
        let start = Instant::now();
        let said: Vec<String> =
            (0..=9).filter_map(|done| line(&builds(done), &mut pace, start + Duration::from_secs(done))).collect();
        assert_eq!(
            said,
            [
                "building: 0 of 9 derivations done, 1 running",
                "building: 5 of 9 derivations done, 1 running",
                "building: 9 of 9 derivations done, 1 running"
            ]
        );
        assert_eq!(line(&builds(9), &mut pace, start + Duration::from_secs(60)), None, "nothing is said twice");
    }

    #[test]
    fn a_failure_is_said_at_once_and_a_success_is_not() {
        let ended =
            |outcome| Event::BuildEnded { drv: drv("libfoo-1"), outcome, seconds: 2.25, reviews: vec![ReviewId::new("r")] };
        let said = |outcome| line(&ended(outcome), &mut Pace::default(), Instant::now());
        assert_eq!(said(Outcome::TimedOut).unwrap(), "libfoo-1: timed out after 2.2 s");
        assert_eq!(said(Outcome::Succeeded), None);
        assert!(!concerns(&ended(Outcome::Failed), &ReviewId::new("another")));
    }

    /// A terminal that keeps what is written to it since the last time a line was cleared.
    #[derive(Debug, Clone, Default)]
    struct Screen(std::sync::Arc<std::sync::Mutex<String>>);

    impl Screen {
        fn text(&self) -> String {
            self.0.lock().unwrap().clone()
        }
    }

    impl indicatif::TermLike for Screen {
        fn width(&self) -> u16 {
            60
        }
        fn move_cursor_up(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> std::io::Result<()> {
            self.write_str(text)?;
            self.write_str("\n")
        }
        fn write_str(&self, text: &str) -> std::io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }
        fn clear_line(&self) -> std::io::Result<()> {
            self.0.lock().unwrap().clear();
            Ok(())
        }
        fn flush(&self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn bars_follow_the_events_and_vanish() {
        let screen = Screen::default();
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(screen.clone()), 255);
        let mut bars = Bars::new(target);
        let id = ReviewId::new("r");
        bars.show(&Event::Evaluation { id: id.clone(), side: Side::Head, done: 3, total: 4, errors: 1 });
        bars.show(&builds(2));
        bars.show(&Event::BuildStarted { drv: drv("libfoo-1"), builder: "local".into(), reviews: vec![id] });
        bars.show(&Event::Notice { text: "no \u{1b}[31mcache".into() });
        let seen = screen.text();
        for text in ["no cache", "evaluating head", "3/4", "1 error", "2/9", "libfoo-1"] {
            assert!(seen.contains(text), "{text} in:\n{seen}");
        }
        drop(bars);
        assert!(!screen.text().contains("libfoo"), "{}", screen.text());
    }
}
