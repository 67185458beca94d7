//! How a pull request is merged: what the form asks for.

use maud::{Markup, html};

use crate::db::PullRow;
use crate::forge::command::Method;
use crate::forge::github::deeds::Words;

/// Of the methods that the repository allows, the first is chosen. The words of the others are hidden by the style sheet.
pub fn fields(pull: &PullRow, methods: &[Method]) -> Markup {
    html! {
        @match methods {
            [only] => {
                input type="hidden" name="method" value=(only.word());
                p.small { (does(*only)) ": the repository allows nothing else." }
            }
            methods => label {
                span { "How" }
                select name="method" { @for method in methods { option value=(method.word()) { (does(*method)) } } }
            }
        }
        label { span { "When" }
            select name="when" {
                option value="now" { "now" }
                option value="mergeable" { "when the verdict is mergeable" }
            }
        }
        @for method in methods { (words(pull, *method)) }
    }
}

fn does(method: Method) -> &'static str {
    match method {
        Method::Merge => "Create a merge commit",
        Method::Squash => "Squash into one commit",
        Method::Rebase => "Rebase the commits",
    }
}

/// What the commit will say, as GitHub writes it, to be altered.
fn words(pull: &PullRow, method: Method) -> Markup {
    let Some(Words { title, message }) = Words::usual(method, pull.number, &pull.title, &from(pull)) else {
        return html! { p.small.muted.{ "words-" (method.word()) } { "The commits keep their own messages." } };
    };
    let field = |name: &str| format!("{}_{name}", method.word());
    html! {
        details #{ "words-" (method.word()) } .{ "words-" (method.word()) } {
            summary { "Title and message of the " (commit(method)) }
            label { span { "Title" } input name=(field("title")) value=[title]; }
            label {
                span { "Message" @if message.is_none() { " (left empty: GitHub lists the commits)" } }
                textarea name=(field("message")) rows="3" { (message.unwrap_or_default()) }
            }
        }
    }
}

fn commit(method: Method) -> &'static str {
    match method {
        Method::Merge => "merge commit",
        Method::Squash => "squashed commit",
        Method::Rebase => "commits",
    }
}

/// Where it comes from, with the owner: a branch of the repository itself goes without.
fn from(pull: &PullRow) -> String {
    let owner = pull.repository.as_str().split_once('/').map_or("", |(owner, _)| owner);
    if pull.branch.contains(':') { pull.branch.clone() } else { format!("{owner}:{}", pull.branch) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::PullState;
    use crate::domain::{CommitId, RepositoryName};

    fn form(branch: &str, methods: &[Method]) -> String {
        let head: CommitId = "1".repeat(40).parse().unwrap();
        let pull = PullRow {
            repository: RepositoryName::new("us/packages"),
            number: 7,
            title: "libfoo: 1.0 -> <2.0>".into(),
            author: "ines".into(),
            branch: branch.into(),
            head: head.clone(),
            base_branch: "main".into(),
            base: head,
            state: PullState::Open,
            created_at: jiff::Timestamp::UNIX_EPOCH,
            updated_at: jiff::Timestamp::UNIX_EPOCH,
            additions: 1,
            deletions: 1,
            review: None,
        };
        fields(&pull, methods).into_string()
    }

    #[test]
    fn only_what_the_repository_allows_is_offered_in_githubs_words() {
        let all = form("ines:update/libfoo", &Method::ALL);
        assert!(all.contains("value=\"Merge pull request #7 from ines/update/libfoo\""), "{all}");
        assert!(all.contains("<textarea name=\"merge_message\" rows=\"3\">libfoo: 1.0 -&gt; &lt;2.0&gt;</textarea>"), "{all}");
        assert!(all.contains("name=\"squash_title\" value=\"libfoo: 1.0 -&gt; &lt;2.0&gt; (#7)\""), "{all}");
        assert!(all.contains("class=\"small muted words-rebase\"") && !all.contains("rebase_title"), "{all}");
        let squash = form("update", &[Method::Squash, Method::Rebase]);
        assert!(!squash.contains("value=\"merge\"") && !squash.contains("words-merge"), "{squash}");
        let only = form("update", &[Method::Merge]);
        assert!(only.contains("type=\"hidden\" name=\"method\" value=\"merge\"") && !only.contains("name=\"how\""), "{only}");
        assert!(only.contains("from us/update") && !only.contains("squash"), "{only}");
    }
}
