//! Merges that somebody asked for: they wait for the verdict on the very head that was asked about, and are given up when it moves.

use jiff::Timestamp;

use super::work::{Desk, Ended};
use crate::actors::outbox::pauses::Stop;
use crate::db::{MergeRow, MergeState, PullState};
use crate::domain::UserId;
use crate::forge::command::Method;
use crate::forge::github::App;
use crate::forge::github::client::{GitHubError, Person};
use crate::forge::github::comments::Reached;
use crate::forge::github::deeds::{Merge, NotDone, Words};
use crate::notify::check;
use crate::review::markdown::escape::prose;
use crate::review::report::{Decision, State};

/// Characters of a sentence.
const SENTENCE: usize = 1_000;

/// How a merge stands after it was looked at.
enum Standing {
    Waits,
    Merged,
    Dropped(String),
}

impl Desk {
    pub(super) async fn merges(&self, app: &App, at: Reached<'_>) -> Result<(), Stop> {
        for row in self.tools.db.merges_to_do(self.repository).await? {
            match self.merge(app, at, &row).await {
                Ok(()) => {}
                Err(Ended::Stopped(stop)) => return Err(stop),
                Err(Ended::Nothing(reason)) => {
                    tracing::warn!("the merge of {}#{} is given up: {reason}", at.name, row.number);
                    self.tools.db.merge_is(&row, MergeState::Dropped, Some(reason)).await?;
                    self.tools.db.merge_is_told(&row).await?;
                }
            }
        }
        Ok(())
    }

    async fn merge(&self, app: &App, at: Reached<'_>, row: &MergeRow) -> Result<(), Ended> {
        let db = &self.tools.db;
        let standing = match row.state {
            MergeState::Merged => Standing::Merged,
            MergeState::Dropped => Standing::Dropped(row.sentence.clone().unwrap_or_default()),
            MergeState::Waits | MergeState::Merging => self.standing(app, at, row).await?,
        };
        match standing {
            Standing::Waits => return Ok(()),
            // GitHub shows it on the pull request's own page
            Standing::Merged => db.merge_is(row, MergeState::Merged, None).await?,
            Standing::Dropped(sentence) => {
                tracing::info!("the merge of {}#{} is given up: {sentence}", at.name, row.number);
                db.merge_is(row, MergeState::Dropped, Some(sentence.clone())).await?;
                self.say(app, at, row, &sentence).await?;
            }
        }
        Ok(db.merge_is_told(row).await?)
    }

    async fn say(&self, app: &App, at: Reached<'_>, row: &MergeRow, sentence: &str) -> Result<(), Ended> {
        let mark = format!("<!-- snowgate merge {} -->", row.asked_at.as_millisecond());
        if !app.has_said(at, row.number, &mark, row.asked_at).await? {
            let (login, sentence) = (&row.by.login, prose(sentence, SENTENCE));
            let head = &row.head.as_str()[..7];
            app.reply(
                at,
                row.number,
                &format!("The merge of {head} that {login} asked for is given up: {sentence}.\n\n{mark}\n"),
            )
            .await?;
        }
        Ok(())
    }

    async fn standing(&self, app: &App, at: Reached<'_>, row: &MergeRow) -> Result<Standing, Ended> {
        let db = &self.tools.db;
        let dropped = |sentence: &str| Ok(Standing::Dropped(sentence.to_owned()));
        let Some(pull) = db.pull(at.name, row.number).await? else { return dropped("the pull request is gone") };
        match pull.state {
            PullState::Open => {}
            PullState::Merged => return Ok(Standing::Merged),
            PullState::Closed => return dropped("the pull request is closed"),
        }
        // asked before the program was killed
        if row.state == MergeState::Merging && app.pull_now(at, row.number).await?.is_merged {
            return Ok(Standing::Merged);
        }
        if pull.head != row.head {
            return dropped("its head has moved since");
        }
        let review = match &pull.review {
            Some(review) => db.review(review).await?,
            None => None,
        };
        let is_mergeable = review.is_some_and(|review| {
            (review.state, review.decision) == (State::Complete, Decision::Mergeable)
                && (&review.head_rev, &review.base_rev) == (&row.head, &pull.base)
        });
        if !is_mergeable {
            return Ok(Standing::Waits);
        }
        // a rule of the branch may want to see it
        if !db.check_run_is_told(row.repository, &row.head, check::NAME).await? {
            return Err(Ended::Stopped(Stop::Soon));
        }
        let allowed = app.methods(at).await?;
        let method = row.method.or(allowed.first().copied());
        let Some(method) = method.filter(|method| allowed.contains(method)) else {
            let words: Vec<&str> = allowed.iter().map(|method| method.word()).collect();
            return Ok(Standing::Dropped(format!("the repository allows only: {}", words.join(", "))));
        };
        let done = match self.as_who_asked(app, at, row, method).await? {
            Some(done) => done,
            None if app.may_write(at, &row.by).await? => {
                db.merge_is(row, MergeState::Merging, None).await?;
                app.merge(at, row.number, &Merge { head: &row.head, method, words: &signed(row) }, None).await
            }
            None => return dropped("who asked for it may not write to the repository any more"),
        };
        match done {
            Ok(()) => {
                tracing::info!("{}#{} is merged, {} after {} asked for it", at.name, row.number, waited(row), row.by.login);
                Ok(Standing::Merged)
            }
            Err(NotDone::Refused(sentence)) => Ok(Standing::Dropped(sentence)),
            Err(NotDone::GitHub(error)) => Err(error.into()),
        }
    }

    /// Merges in the name of who asked for it, so that GitHub's rules are those for them; `None`: they are not signed in.
    async fn as_who_asked(
        &self,
        app: &App,
        at: Reached<'_>,
        row: &MergeRow,
        method: Method,
    ) -> Result<Option<Result<(), NotDone>>, Ended> {
        let Some(token) = self.tools.wallets.token_of(UserId(row.by.id)).await else { return Ok(None) };
        self.tools.db.merge_is(row, MergeState::Merging, None).await?;
        let (merge, by) = (Merge { head: &row.head, method, words: &row.words }, Person { id: row.by.id, token: &token });
        match app.merge(at, row.number, &merge, Some(&by)).await {
            // taken back at GitHub: as good as signed out
            Err(NotDone::GitHub(GitHubError::Refused { status: 401, .. })) => Ok(None),
            // it is hidden from who may not read it
            Err(NotDone::GitHub(GitHubError::NotFound(_))) => {
                Ok(Some(Err(NotDone::Refused("GitHub does not show the repository to who asked for it any more".into()))))
            }
            done => Ok(Some(done)),
        }
    }
}

/// Who is behind a merge of the App's stands in its commit.
fn signed(row: &MergeRow) -> Words {
    let who = format!("Asked for by {} (GitHub account {}).", row.by.login, row.by.id);
    let message = row.words.message.as_ref().map_or_else(|| who.clone(), |message| format!("{message}\n\n{who}"));
    Words { title: row.words.title.clone(), message: Some(message) }
}

fn waited(row: &MergeRow) -> String {
    format!("{} s", Timestamp::now().duration_since(row.asked_at).as_secs())
}
