//! Small pieces that many pages share: chips, figures, times, links.

use jiff::Timestamp;
use maud::{Markup, html};

use super::icons::{Icon, icon};
use crate::db::PullState;
use crate::domain::{CommitId, DrvPath, Level, Outcome, RepositoryName};
use crate::forge::opinion::{Opinion, Stance};
use crate::review::report::{Category, Decision, EvalErrorStatus, State};

/// The colour family of a chip. The chip's icon and words say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Good,
    Bad,
    Warn,
    Info,
    Quiet,
}

impl Tone {
    pub fn class(self) -> &'static str {
        match self {
            Tone::Good => "chip good",
            Tone::Bad => "chip bad",
            Tone::Warn => "chip warn",
            Tone::Info => "chip info",
            Tone::Quiet => "chip",
        }
    }
}

pub fn chip(tone: Tone, sign: Icon, words: impl maud::Render) -> Markup {
    html! { span class=(tone.class()) { (icon(sign)) (words) } }
}

/// What somebody thinks of a pull request.
pub fn opinion_chip(opinion: &Opinion) -> Markup {
    match opinion.stance {
        Stance::Approves => chip(Tone::Good, Icon::Check, format!("approved by {}", opinion.login)),
        Stance::RequestsChanges => chip(Tone::Bad, Icon::Cross, format!("changes requested by {}", opinion.login)),
    }
}

/// Every category, the most urgent first.
pub const CATEGORIES: [Category; 9] = [
    Category::NewlyFailing,
    Category::NewFailing,
    Category::StillFailing,
    Category::Pending,
    Category::NewlySucceeding,
    Category::NewSucceeding,
    Category::Removed,
    Category::NotBuilt,
    Category::StillSucceeding,
];

/// Where it stands among [`CATEGORIES`].
pub fn category_place(category: Category) -> usize {
    match category {
        Category::NewlyFailing => 0,
        Category::NewFailing => 1,
        Category::StillFailing => 2,
        Category::Pending => 3,
        Category::NewlySucceeding => 4,
        Category::NewSucceeding => 5,
        Category::Removed => 6,
        Category::NotBuilt => 7,
        Category::StillSucceeding => 8,
    }
}

/// The category as the report writes it.
pub fn category_code(category: Category) -> &'static str {
    match category {
        Category::NewlyFailing => "newly_failing",
        Category::StillFailing => "still_failing",
        Category::NewlySucceeding => "newly_succeeding",
        Category::StillSucceeding => "still_succeeding",
        Category::NewFailing => "new_failing",
        Category::NewSucceeding => "new_succeeding",
        Category::Removed => "removed",
        Category::Pending => "pending",
        Category::NotBuilt => "not_built",
    }
}

pub fn category_look(category: Category) -> (Tone, Icon, &'static str) {
    match category {
        Category::NewlyFailing => (Tone::Bad, Icon::Cross, "newly failing"),
        Category::NewFailing => (Tone::Bad, Icon::CrossSmall, "new, failing"),
        Category::StillFailing => (Tone::Warn, Icon::CrossSmall, "still failing"),
        Category::Pending => (Tone::Info, Icon::Clock, "pending"),
        Category::NewlySucceeding => (Tone::Good, Icon::Check, "newly succeeding"),
        Category::NewSucceeding => (Tone::Good, Icon::Plus, "new, succeeding"),
        Category::Removed => (Tone::Quiet, Icon::Minus, "removed"),
        Category::NotBuilt => (Tone::Quiet, Icon::Dash, "not built"),
        Category::StillSucceeding => (Tone::Quiet, Icon::Check, "still succeeding"),
    }
}

pub fn category_chip(category: Category) -> Markup {
    let (tone, sign, words) = category_look(category);
    chip(tone, sign, words)
}

pub fn decision_look(decision: Decision) -> (Tone, Icon, &'static str) {
    match decision {
        Decision::Mergeable => (Tone::Good, Icon::Check, "mergeable"),
        Decision::Blocked => (Tone::Bad, Icon::Cross, "blocked"),
        Decision::Pending => (Tone::Info, Icon::Clock, "pending"),
    }
}

pub fn decision_chip(decision: Decision) -> Markup {
    let (tone, sign, words) = decision_look(decision);
    chip(tone, sign, words)
}

pub fn state_chip(state: State) -> Markup {
    match state {
        State::Evaluating => chip(Tone::Info, Icon::Running, "evaluating"),
        State::Building => chip(Tone::Info, Icon::Running, "building"),
        State::Complete => chip(Tone::Quiet, Icon::Check, "complete"),
        State::Cancelled => chip(Tone::Quiet, Icon::Stop, "cancelled"),
        State::Error => chip(Tone::Bad, Icon::Warning, "not completed"),
    }
}

pub fn pull_state_chip(state: PullState) -> Markup {
    match state {
        PullState::Open => chip(Tone::Info, Icon::Branch, "open"),
        PullState::Merged => chip(Tone::Good, Icon::Check, "merged"),
        PullState::Closed => chip(Tone::Quiet, Icon::Stop, "closed"),
    }
}

pub fn outcome_look(outcome: Outcome) -> (Tone, Icon) {
    match outcome {
        Outcome::Succeeded | Outcome::Substituted => (Tone::Good, Icon::Check),
        Outcome::Failed
        | Outcome::TimedOut
        | Outcome::SilentTimedOut
        | Outcome::LogLimit
        | Outcome::OutputLimit
        | Outcome::OutOfMemory
        | Outcome::HashMismatch => (Tone::Bad, Icon::Cross),
        Outcome::DependencyFailed => (Tone::Bad, Icon::CrossSmall),
        Outcome::Unsupported => (Tone::Quiet, Icon::Dash),
        Outcome::Cancelled => (Tone::Quiet, Icon::Stop),
        Outcome::Infrastructure => (Tone::Warn, Icon::Warning),
    }
}

pub fn outcome_chip(outcome: Outcome) -> Markup {
    let (tone, sign) = outcome_look(outcome);
    chip(tone, sign, outcome.words())
}

pub fn eval_status_chip(status: EvalErrorStatus) -> Markup {
    match status {
        EvalErrorStatus::New => chip(Tone::Bad, Icon::Cross, "new error"),
        EvalErrorStatus::Fixed => chip(Tone::Good, Icon::Check, "fixed"),
        EvalErrorStatus::Still => chip(Tone::Quiet, Icon::CrossSmall, "still an error"),
    }
}

/// When a search form is sent by itself: a little after the last letter, and at each choice.
pub const AS_TYPED: &str = "input delay:300ms, change, submit";

pub fn level_look(level: Level) -> (&'static str, Icon, &'static str) {
    match level {
        Level::Block => ("block", Icon::Cross, "Blocks:"),
        Level::Warn => ("warn", Icon::Warning, "Warning:"),
        Level::Info => ("info", Icon::Info, "Note:"),
    }
}

/// A link to the derivation's page; the text is its name without the hash.
pub fn drv_link(drv: &DrvPath) -> Markup {
    html! { a.mono href={ "/drv/" (drv.base_name()) } title=(drv.as_str()) { (drv.name()) } }
}

pub fn repository_href(name: &RepositoryName) -> String {
    format!("/r/{}", path_segments(name.as_str()))
}

pub fn pull_href(name: &RepositoryName, number: u64) -> String {
    format!("{}/pull/{number}", repository_href(name))
}

pub fn branch_href(name: &RepositoryName, branch: &str) -> String {
    format!("{}/branch/{}", repository_href(name), path_segments(branch))
}

/// Percent-encoding of a path; slashes stay.
fn path_segments(text: &str) -> String {
    encode(text, |byte| matches!(byte, b'/'))
}

/// Percent-encoding of a query's value.
pub fn query_value(text: &str) -> String {
    encode(text, |_| false)
}

fn encode(text: &str, also: impl Fn(u8) -> bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') || also(byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

pub fn short_rev(rev: &CommitId) -> Markup {
    let text = rev.as_str();
    html! { code title=(text) { (text.get(..10).unwrap_or(text)) } }
}

/// `1 package`, `2 packages`.
pub fn count(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", thousands(n), if n == 1 { one } else { many })
}

pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit < UNITS.len() - 1 {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{n} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// With its sign: `+1.2 MiB`, `−3 B`.
pub fn bytes_delta(delta: i128) -> String {
    let size = bytes(u64::try_from(delta.unsigned_abs()).unwrap_or(u64::MAX));
    match delta {
        0 => "±0".into(),
        d if d > 0 => format!("+{size}"),
        _ => format!("−{size}"),
    }
}

pub fn seconds(s: f64) -> String {
    if !s.is_finite() || s < 0.0 {
        return "?".into();
    }
    if s < 0.9995 {
        return format!("{:.0} ms", s * 1000.0);
    }
    if s < 9.95 {
        return format!("{s:.1} s");
    }
    let whole = s.round() as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// How long ago, with the exact time at hand.
pub fn ago(then: Timestamp, now: Timestamp) -> Markup {
    let passed = now.as_second().saturating_sub(then.as_second()).max(0);
    let words = match passed {
        0..10 => "just now".to_owned(),
        10..60 => format!("{passed} s ago"),
        60..3600 => format!("{} min ago", passed / 60),
        3600..172_800 => format!("{} h ago", passed / 3600),
        _ => format!("{} days ago", passed / 86_400),
    };
    html! { time datetime=(then) title=(then.strftime("%Y-%m-%d %H:%M:%S UTC")) { (words) } }
}

pub fn lines_delta(additions: u64, deletions: u64) -> Markup {
    html! {
        span.nowrap {
            span.plus { "+" (thousands(additions)) } " " span.minus { "−" (thousands(deletions)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_category_stands_in_its_place() {
        assert!(CATEGORIES.into_iter().enumerate().all(|(place, category)| category_place(category) == place));
    }

    #[test]
    fn figures_read_well() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes_delta(-2048), "−2.0 KiB");
        assert_eq!(bytes_delta(0), "±0");
        assert_eq!(seconds(0.25), "250 ms");
        assert_eq!(seconds(59.9), "1 min 00 s");
        assert_eq!(seconds(61.0), "1 min 01 s");
        assert_eq!(seconds(7384.0), "2 h 03 min");
        assert_eq!(seconds(f64::NAN), "?");
    }

    #[test]
    fn a_branch_with_odd_characters_is_one_link() {
        assert_eq!(branch_href(&"local/a b".into(), "fix/ä?#"), "/r/local/a%20b/branch/fix/%C3%A4%3F%23");
        assert_eq!(query_value("a/b&c=d"), "a%2Fb%26c%3Dd");
    }
}
