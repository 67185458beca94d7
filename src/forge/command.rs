//! PURE: what a comment orders. Only the text of its markdown counts: what stands in code, in quotes, in HTML or struck out was said by
//! somebody else, or to be shown.

use std::fmt;

use pulldown_cmark::{Event, Options, Parser, TagEnd};
use serde::{Deserialize, Serialize};

use crate::domain::{AttrPath, CommitId};

/// One line that begins with our name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    Rerun,
    /// Attributes, as the Nix command line writes them.
    Build(Vec<String>),
    Allow,
    Cancel,
    Merge(Option<Method>),
    /// If this is the head at that moment.
    At(Digits, Box<Command>),
    Help,
    /// What it says instead, in a sentence.
    Misspelt(String),
}

/// The first digits of a commit's name, at least seven: what git and GitHub shorten to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digits(String);

impl Digits {
    const FEWEST: usize = 7;

    pub fn of(word: &str) -> Option<Self> {
        let is_some = (Self::FEWEST..=40).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_some.then(|| Self(word.to_lowercase()))
    }

    pub fn begin(&self, commit: &CommitId) -> bool {
        commit.as_str().starts_with(&self.0)
    }
}

impl fmt::Display for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a pull request is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    Merge,
    Squash,
    Rebase,
}

impl Method {
    pub const ALL: [Method; 3] = [Method::Merge, Method::Squash, Method::Rebase];

    pub fn word(self) -> &'static str {
        match self {
            Self::Merge => "merge",
            Self::Squash => "squash",
            Self::Rebase => "rebase",
        }
    }

    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.word() == word)
    }
}

/// Commands of one comment, and attributes of one command. More is no comment of a person's.
const MOST: usize = 10;
const MOST_ATTRIBUTES: usize = 100;

/// Stands where something was that is not text: Unicode's own for that.
const OTHER: char = '\u{fffc}';

/// The commands of a comment, in order. `name`: what follows the `@`.
pub fn commands(markdown: &str, name: &str) -> Vec<Command> {
    let text = text(markdown);
    text.lines().filter_map(|line| addressed(line, name)).map(command).take(MOST).collect()
}

/// The words after our name, where a line begins with it.
fn addressed<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    const EMPHASIS: [char; 2] = ['*', '_'];
    let mut line = line.trim();
    if line.starts_with(EMPHASIS) {
        line = line.trim_matches(EMPHASIS);
    }
    let rest = line.strip_prefix('@')?;
    let (called, rest) = rest.split_at_checked(name.len())?;
    // an App's account has a suffix that no other has
    let rest = rest.strip_prefix("[bot]").unwrap_or(rest);
    let ends = rest.chars().next().is_none_or(|next| next.is_whitespace() || matches!(next, ':' | ','));
    (called.eq_ignore_ascii_case(name) && ends).then(|| rest.trim_start_matches([':', ',']).trim())
}

fn command(words: &str) -> Command {
    let mut words = words.split_whitespace();
    let Some(verb) = words.next() else { return Command::Help };
    let rest: Vec<&str> = words.collect();
    let alone = |command: Command| {
        if rest.is_empty() { command } else { Command::Misspelt(format!("`{}` stands alone.", verb.to_lowercase())) }
    };
    match verb.to_lowercase().as_str() {
        "rerun" => alone(Command::Rerun),
        "allow" => at_head(&rest, |rest| match rest {
            [] => Ok(Command::Allow),
            _ => Err("`allow` stands alone, or with seven or more digits of the head."),
        }),
        "cancel" => alone(Command::Cancel),
        "help" => alone(Command::Help),
        "build" => build(&rest),
        "merge" => at_head(&rest, |rest| match rest {
            [] => Ok(Command::Merge(None)),
            [word] if Method::of(&word.to_lowercase()).is_some() => Ok(Command::Merge(Method::of(&word.to_lowercase()))),
            _ => Err(
                "`merge` stands alone, or with one of `merge`, `squash` and `rebase`; then may come seven or more digits of the head.",
            ),
        }),
        _ => Command::Misspelt("There is no such command.".into()),
    }
}

/// The last word may name the head that it is about.
fn at_head(words: &[&str], command: impl Fn(&[&str]) -> Result<Command, &'static str>) -> Command {
    let named = words.split_last().and_then(|(last, rest)| Some((Digits::of(last)?, rest)));
    let (head, rest) = named.map_or((None, words), |(head, rest)| (Some(head), rest));
    match (command(rest), head) {
        (Ok(command), Some(head)) => Command::At(head, Box::new(command)),
        (Ok(command), None) => command,
        (Err(sentence), _) => Command::Misspelt(sentence.into()),
    }
}

fn build(attrs: &[&str]) -> Command {
    if attrs.is_empty() {
        return Command::Misspelt("`build` wants the names of attributes.".into());
    }
    if attrs.len() > MOST_ATTRIBUTES {
        return Command::Misspelt(format!("`build` takes at most {MOST_ATTRIBUTES} attributes."));
    }
    if attrs.iter().any(|attr| attr.contains(OTHER)) {
        return Command::Misspelt("`build` wants the names of attributes as plain text.".into());
    }
    let parsed: Result<Vec<AttrPath>, _> = attrs.iter().map(|attr| attr.parse()).collect();
    match parsed {
        Ok(attrs) => Command::Build(attrs.iter().map(ToString::to_string).collect()),
        Err(_) => Command::Misspelt("`build` wants the names of attributes as the Nix command line writes them.".into()),
    }
}

/// The text, a line for each line, and nothing else. Marks of emphasis stay: `a_ b_` are the names of attributes, too.
fn text(markdown: &str) -> String {
    let mut text = String::new();
    // how deep in what is not ours to read
    let mut hidden = 0_u32;
    let options = Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TABLES | Options::ENABLE_TASKLISTS;
    for (event, at) in Parser::new_ext(markdown, options).into_offset_iter() {
        match event {
            Event::Start(tag) => {
                text.push_str(before(tag.to_end(), &markdown[at]));
                hidden += u32::from(hides(tag.to_end()));
            }
            Event::End(tag) => {
                hidden = hidden.saturating_sub(u32::from(hides(tag)));
                text.push_str(after(tag, &markdown[at]));
            }
            _ if hidden > 0 => {}
            Event::Text(words) => text.push_str(&words),
            Event::SoftBreak | Event::HardBreak | Event::Rule => text.push('\n'),
            Event::Code(_)
            | Event::Html(_)
            | Event::InlineHtml(_)
            | Event::InlineMath(_)
            | Event::DisplayMath(_)
            | Event::FootnoteReference(_)
            | Event::TaskListMarker(_) => text.push(OTHER),
        }
    }
    text
}

/// What is in it was said by somebody else, or is to be shown.
fn hides(tag: TagEnd) -> bool {
    matches!(
        tag,
        TagEnd::BlockQuote(_)
            | TagEnd::CodeBlock
            | TagEnd::HtmlBlock
            | TagEnd::Table
            | TagEnd::Strikethrough
            | TagEnd::Image
            | TagEnd::Link
    )
}

/// What stands in the text where it begins. `source`: all of it.
fn before(tag: TagEnd, source: &str) -> &str {
    match tag {
        TagEnd::Emphasis => source.get(..1).unwrap_or_default(),
        TagEnd::Strong => source.get(..2).unwrap_or_default(),
        TagEnd::Strikethrough | TagEnd::Image | TagEnd::Link => "\u{fffc}",
        _ => "\n",
    }
}

fn after(tag: TagEnd, source: &str) -> &str {
    match tag {
        TagEnd::Emphasis => source.get(source.len().saturating_sub(1)..).unwrap_or_default(),
        TagEnd::Strong => source.get(source.len().saturating_sub(2)..).unwrap_or_default(),
        _ => before(tag, source),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(markdown: &str) -> Vec<Command> {
        commands(markdown, "snowgate")
    }

    #[test]
    fn a_line_that_begins_with_the_name_is_a_command() {
        assert_eq!(of("@snowgate rerun"), [Command::Rerun]);
        assert_eq!(of("Thank you!\n\n@Snowgate: ReRun\n@snowgate[bot] cancel\n"), [Command::Rerun, Command::Cancel]);
        assert_eq!(of("* **@snowgate merge squash**"), [Command::Merge(Some(Method::Squash))]);
        let build = Command::Build(vec!["hello".into(), "python3Packages.foo_bar_baz".into(), "set.\"odd.name\"".into()]);
        assert_eq!(of("@snowgate build hello python3Packages.foo_bar_baz set.\"odd.name\""), [build]);
        assert_eq!(of("_@snowgate rerun_\n1. @snowgate, help"), [Command::Rerun, Command::Help]);
        assert_eq!(of("@snowgate"), [Command::Help]);
        let at = |digits: &str, command| Command::At(Digits::of(digits).unwrap(), Box::new(command));
        assert_eq!(of("@snowgate allow 0123abc"), [at("0123abc", Command::Allow)]);
        assert_eq!(of("@snowgate merge Rebase 0123ABCDEF"), [at("0123abcdef", Command::Merge(Some(Method::Rebase)))]);
        for misspelt in
            ["@snowgate destroy", "@snowgate rerun it", "@snowgate build", "@snowgate build a..b", "@snowgate build `a`"]
                .into_iter()
                .chain(["@snowgate allow it", "@snowgate allow 0123ab", "@snowgate merge 0123abc squash"])
        {
            assert!(matches!(&of(misspelt)[..], [Command::Misspelt(_)]), "{misspelt}: {:?}", of(misspelt));
        }
    }

    #[test]
    fn what_is_not_said_orders_nothing() {
        let unsaid = [
            "ask @snowgate rerun",
            "@snowgates rerun",
            "@snow rerun",
            "mail me at me@snowgate rerun",
            "> @snowgate rerun",
            "> quoted\n@snowgate rerun",
            "    @snowgate rerun",
            "```\n@snowgate rerun\n```",
            "~~~sh\n@snowgate rerun",
            "`@snowgate rerun`",
            "<!-- @snowgate rerun -->",
            "<!--\n@snowgate rerun\n-->",
            "a <!-- \n@snowgate rerun\n-->",
            "<pre>\n@snowgate rerun\n</pre>",
            "~~@snowgate rerun~~",
            "[@snowgate rerun](https://example.org)",
            "![@snowgate rerun](https://example.org)",
            "* > @snowgate rerun",
        ];
        for unsaid in unsaid {
            assert_eq!(of(unsaid), [], "{unsaid}");
        }
    }

    proptest! {
        #[test]
        fn no_text_whatever_is_too_much(text in "[@a-z `>~<!\\-\\n\\[\\]()*_#|]{0,300}") {
            prop_assert!(of(&text).len() <= MOST);
            prop_assert!(commands(&text, "a").len() <= MOST);
        }

        #[test]
        fn nothing_quoted_or_in_code_orders_anything(before in "[a-z .\\n]{0,40}", after in "[a-z .]{0,40}") {
            // a line that is neither empty nor a paragraph's lazy continuation
            prop_assert_eq!(of(&format!("{before}\n\n> @snowgate rerun {after}\n")), []);
            prop_assert_eq!(of(&format!("{before}\n\n````\n@snowgate rerun\n{after}\n````\n")), []);
            prop_assert_eq!(of(&format!("{before}\n\n<!-- {after}\n@snowgate rerun -->\n")), []);
        }

        #[test]
        fn what_is_said_is_heard_whatever_stands_around_it(before in "[a-z .]{0,40}", after in "[a-z .]{0,40}") {
            prop_assert_eq!(of(&format!("{before}\n\n@snowgate cancel\n\n{after}")), [Command::Cancel]);
        }

        #[test]
        fn attributes_come_through_as_they_were_written(names in prop::collection::vec("[a-z][a-zA-Z0-9_'-]{0,12}(\\.[a-z][a-z0-9_-]{0,5})?", 1..8)) {
            prop_assume!(names.iter().all(|name| name.parse::<AttrPath>().is_ok_and(|path| path.to_string() == *name)));
            prop_assert_eq!(of(&format!("@snowgate build {}", names.join(" "))), [Command::Build(names)]);
        }
    }
}
