//! PURE: how a comment is answered: one reaction, and at most one reply.

use serde::{Deserialize, Serialize};

use crate::forge::github::comments::Reaction;
use crate::review::markdown::escape::prose;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answer {
    pub reaction: Reaction,
    /// Markdown.
    pub reply: Option<String>,
}

/// How a command ended. Sentences are markdown already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// What was ordered takes its time; the check run tells how it goes.
    Begun,
    Told(String),
    Refused(String),
    Misunderstood(String),
}

/// Characters of a sentence of ours.
const SENTENCE: usize = 2_000;

impl Outcome {
    /// A sentence that may quote what is not ours.
    pub fn refused(sentence: &str) -> Self {
        let mut letters = sentence.chars();
        let sentence: String = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
        Self::Refused(format!("{}.", prose(sentence.trim_end_matches('.'), SENTENCE)))
    }

    fn reaction(&self) -> Reaction {
        match self {
            Self::Done | Self::Told(_) => Reaction::Yes,
            Self::Begun => Reaction::Begun,
            Self::Refused(_) => Reaction::No,
            Self::Misunderstood(_) => Reaction::Confused,
        }
    }

    fn sentence(self) -> Option<String> {
        match self {
            Self::Done | Self::Begun => None,
            Self::Told(sentence) | Self::Refused(sentence) | Self::Misunderstood(sentence) => Some(sentence),
        }
    }
}

impl Answer {
    /// The worst of several gives the reaction.
    pub fn to(outcomes: Vec<Outcome>) -> Self {
        let rank = |reaction: &Reaction| match reaction {
            Reaction::Yes => 0,
            Reaction::Begun => 1,
            Reaction::Confused => 2,
            Reaction::No => 3,
        };
        let reaction = outcomes.iter().map(Outcome::reaction).max_by_key(rank).unwrap_or(Reaction::Yes);
        let mut sentences: Vec<String> = Vec::new();
        for sentence in outcomes.into_iter().filter_map(Outcome::sentence) {
            // five lines of nonsense have one answer
            if !sentences.contains(&sentence) {
                sentences.push(sentence);
            }
        }
        Self { reaction, reply: (!sentences.is_empty()).then(|| sentences.join("\n\n")) }
    }
}

/// What can be ordered. `name`: what follows the `@`.
pub(super) fn help(name: &str) -> String {
    format!(
        "At the beginning of a line, from whoever may write to the repository:\n\n\
         | | |\n|---|---|\n\
         | `@{name} rerun` | reviews the change again; what failed is built again |\n\
         | `@{name} build ATTR…` | builds these attributes again; also such that the change does not alter |\n\
         | `@{name} allow` | lets a stranger's change be evaluated and built; `allow SHA`: if this is the head |\n\
         | `@{name} cancel` | ends the review that is under way |\n\
         | `@{name} merge` | merges this head as soon as its review says that it is mergeable; or `merge squash`, `merge rebase`; `merge SHA`, if this is the head |\n\
         | `@{name} help` | says this |"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_outcomes_have_one_answer() {
        let refused = Outcome::refused("the review is over");
        let answer = Answer::to(vec![Outcome::Begun, refused.clone(), refused, Outcome::Done]);
        assert_eq!(answer, Answer { reaction: Reaction::No, reply: Some("The review is over.".into()) });
        assert_eq!(Answer::to(vec![Outcome::Done, Outcome::Begun]), Answer { reaction: Reaction::Begun, reply: None });
        let Outcome::Refused(sentence) = Outcome::refused("no @octocat <b>") else { panic!() };
        assert!(!sentence.contains("@octocat") && !sentence.contains("<b>"), "{sentence}");
    }
}
