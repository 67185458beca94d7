//! `GET /drv/{hash}-{name}.drv`: one derivation, its log, and what is looked for in it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use actix_web::web;
use jiff::Timestamp;

use super::fault::Fault;
use super::pages::{Page, with_orders};
use super::rights::Actor;
use super::site::Site;
use super::view::ansi;
use super::view::derivation::{DerivationPage, derivation_page};
use super::view::log::{HITS, Hit, LINES, LogView, Search};
use crate::db::{AttemptRow, Named, ReviewRow};
use crate::domain::{DrvPath, Outcome, StorePath};
use crate::review::decisive::{SEARCHED_LINES, choose};
use crate::review::plain;
use crate::store::PathInfo;
use crate::store::derivation::{Derivation, DerivationError};
use crate::store::logs::LogPage;

/// Characters that can be looked for.
const LONGEST: usize = 200;
/// Characters of a line that are shown before and after what was found.
const AROUND: usize = 120;
/// Reviews that a derivation was built for, on its page.
const REVIEWS: usize = 20;
/// Attributes of branches that a derivation is, on its page.
const NAMES: u32 = 100;

#[derive(serde::Deserialize)]
pub struct DerivationQuery {
    attempt: Option<String>,
    /// The first line shown.
    from: Option<String>,
    /// A line to be shown, with what is around it.
    line: Option<String>,
    /// Looked for in the whole log.
    find: Option<String>,
}

/// Finds a derivation by its base name: recorded with its whole path, or in the usual store.
pub fn derivation_path(base_name: &str, recorded: Option<&DrvPath>) -> Result<DrvPath, Fault> {
    if let Some(drv) = recorded {
        return Ok(drv.clone());
    }
    let store = std::env::var("NIX_STORE_DIR").unwrap_or_else(|_| "/nix/store".into());
    let path = DrvPath::is_base_name(base_name).then(|| format!("{store}/{base_name}").parse().ok()).flatten();
    path.ok_or_else(|| Fault::not_found(format!("“{base_name}” is not the name of a derivation.")))
}

/// Reads the derivation, if the store has it.
pub async fn read_derivation(drv: &DrvPath) -> Result<Option<Derivation>, Fault> {
    let path = drv.clone();
    match web::block(move || Derivation::read(&path)).await.map_err(Fault::internal)? {
        Ok(derivation) => Ok(Some(derivation)),
        Err(DerivationError::Unreadable { .. }) => Ok(None),
        Err(error @ DerivationError::Malformed { .. }) => {
            tracing::warn!("{error}");
            Ok(None)
        }
    }
}

pub async fn derivation(
    site: web::Data<Site>,
    base_name: web::Path<String>,
    query: web::Query<DerivationQuery>,
    actor: Actor,
) -> Page {
    let attempts = site.house.db.attempts(&base_name).await?;
    let drv = derivation_path(&base_name, attempts.first().map(|row| &row.drv))?;
    let logs = site.house.logs.attempts(&base_name).iter().rev().map(ToString::to_string).collect::<Vec<_>>();
    let derivation = read_derivation(&drv).await?;
    if attempts.is_empty() && logs.is_empty() && derivation.is_none() && !is_known(&site, &drv).await? {
        return Err(Fault::not_found(format!("Nothing is known of {drv}.")));
    }
    let (from, line) = (number(query.from.as_deref())?, number(query.line.as_deref())?);
    let attempt = query.attempt.as_deref();
    let lines = match line {
        Some(line) => site.house.logs.page_with(&base_name, attempt, line, LINES as u64).await,
        // without a line asked for it is the end: that is where the error is
        None => site.house.logs.page(&base_name, attempt, from, LINES as u64).await,
    };
    let log = lines.map_err(Fault::internal)?;
    if let (None, Some(attempt)) = (&log, &query.attempt) {
        return Err(Fault::not_found(format!("There is no log of an attempt at {attempt} to build {}.", drv.name())));
    }
    let text = log.as_ref().map(|log| String::from_utf8_lossy(&log.text));
    let time = log.as_ref().map(|log| log.attempt.to_string());
    let log = match (&log, &text, &time) {
        (Some(log), Some(text), Some(time)) => Some(LogView {
            asked: line.or(from).map(|line| line as usize),
            decisive: decisive(&site, &base_name, time, &attempts).await?,
            search: search(&site, &base_name, time, query.find.as_deref()).await?,
            ..log_view(log, text, time)
        }),
        _ => None,
    };
    let remembered = site.house.db.outcomes(std::slice::from_ref(&drv)).await?.remove(&drv);
    let standing = match attempts.is_empty() {
        true => site.house.db.standings(std::slice::from_ref(&drv)).await?.remove(&drv),
        false => None,
    };
    let outputs = outputs(&site, derivation.as_ref()).await;
    let reviews = reviews(&site, &actor, &attempts).await?;
    let names = names(&site, &actor, &drv).await?;
    with_orders(&actor, actor.nobody_because(), |visitor| {
        derivation_page(&DerivationPage {
            drv: &drv,
            attempts: &attempts,
            standing,
            logs: &logs,
            log,
            derivation: derivation.as_ref(),
            outputs: outputs.as_ref(),
            reviews: &reviews,
            names: &names,
            remembered: remembered.as_ref(),
            visitor,
            now: Timestamp::now(),
        })
    })
}

fn number(text: Option<&str>) -> Result<Option<u64>, Fault> {
    match text {
        None | Some("") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| Fault::bad_request(format!("“{text}” is not the number of a line."))),
    }
}

/// Remembered as failed, though the log and the derivation are gone.
async fn is_known(site: &Site, drv: &DrvPath) -> Result<bool, Fault> {
    Ok(!site.house.db.outcomes(std::slice::from_ref(drv)).await?.is_empty())
}

fn log_view<'a>(log: &'a LogPage, text: &'a str, attempt: &'a str) -> LogView<'a> {
    LogView {
        attempt,
        first: log.first as usize,
        lines: ansi::split(text).collect(),
        total: log.total as usize,
        offset: log.offset,
        live: log.live && log.offset == log.length,
        phases: &log.phases,
        asked: None,
        decisive: None,
        search: None,
    }
}

/// The line that decides, of an attempt that its own commands ended.
async fn decisive(site: &Site, base_name: &str, attempt: &str, attempts: &[AttemptRow]) -> Result<Option<usize>, Fault> {
    let ended = attempts.iter().find(|row| row.time == attempt).and_then(|row| row.outcome);
    if !matches!(ended, Some(Outcome::Failed | Outcome::HashMismatch)) {
        return Ok(None);
    }
    let end = site.house.logs.page(base_name, Some(attempt), None, SEARCHED_LINES).await.map_err(Fault::internal)?;
    let Some(end) = end else { return Ok(None) };
    let chosen = web::block(move || {
        let text = String::from_utf8_lossy(&end.text);
        let lines: Vec<&str> = text.lines().collect();
        choose(&lines).map(|at| end.first as usize + at)
    });
    chosen.await.map_err(Fault::internal)
}

async fn search(site: &Site, base_name: &str, attempt: &str, find: Option<&str>) -> Result<Option<Search>, Fault> {
    let Some(text) = find.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    if text.chars().count() > LONGEST {
        return Err(Fault::bad_request(format!("Look for at most {LONGEST} characters.")));
    }
    let wanted = text.to_ascii_lowercase();
    let _place = site.costly.place().await?;
    let found = site.house.logs.find(base_name, Some(attempt), HITS, move |line| hit(line, &wanted)).await;
    let found = found.map_err(Fault::internal)?;
    Ok(found.map(|found| Search {
        text: text.to_owned(),
        hits: found.hits.into_iter().map(|(line, hit)| Hit { line: line as usize, ..hit }).collect(),
        searched: found.searched,
        stopped: found.stopped,
    }))
}

/// Upper and lower case are one, of ASCII; escape sequences are no text.
fn hit(line: &str, wanted: &str) -> Option<Hit> {
    let line = match line.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        true => Cow::Borrowed(line),
        false => Cow::Owned(plain::line(line)),
    };
    let at = line.to_ascii_lowercase().find(wanted)?;
    let (before, rest) = line.split_at(at);
    let (found, after) = rest.split_at(wanted.len());
    let cut = before.char_indices().rev().nth(AROUND).map(|(at, _)| at);
    let before = cut.map_or_else(|| before.trim_start().to_owned(), |at| format!("…{}", &before[at..]));
    let cut = after.char_indices().nth(AROUND).map(|(at, _)| at);
    let after = cut.map_or_else(|| after.to_owned(), |at| format!("{}…", &after[..at]));
    Some(Hit { line: 0, before, found: found.to_owned(), after })
}

/// Of the outputs that the store has: their sizes and references.
async fn outputs(site: &Site, derivation: Option<&Derivation>) -> Option<BTreeMap<StorePath, PathInfo>> {
    let paths: BTreeSet<StorePath> = derivation?.outputs.values().filter_map(|output| output.path.clone()).collect();
    // that a page lacks them is said on it, and in the journal by who was asked
    site.house.references(paths).await.ok()
}

/// Those that it was built for and that may be read, newest first.
async fn reviews(site: &Site, actor: &Actor, attempts: &[AttemptRow]) -> Result<Vec<ReviewRow>, Fault> {
    let readable = actor.readable(site).await?;
    let mut seen = BTreeSet::new();
    let mut reviews = Vec::new();
    for id in attempts.iter().filter_map(|row| row.review.as_ref()) {
        if reviews.len() < REVIEWS && seen.insert(id.clone()) {
            reviews.extend(site.house.db.review(id).await?.filter(|row| readable.has(&row.repository)));
        }
    }
    Ok(reviews)
}

/// The attributes of branches that may be read.
async fn names(site: &Site, actor: &Actor, drv: &DrvPath) -> Result<Vec<Named>, Fault> {
    let readable = actor.readable(site).await?;
    let mut names = site.house.db.names_of(drv, NAMES).await?;
    names.retain(|name| readable.has(&name.of.repository));
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_is_shown_as_it_is_written() {
        let Hit { before, found, after, .. } = hit("  \u{1b}[31mfoo.c:1: Err\u{1b}[0mOR: ünknown", "error").unwrap();
        assert_eq!((before.as_str(), found.as_str(), after.as_str()), ("foo.c:1: ", "ErrOR", ": ünknown"));
        assert!(hit("all is well", "error").is_none());
        let long = hit(&format!("{}error{}", "ä".repeat(300), "ö".repeat(300)), "error").unwrap();
        assert_eq!((long.before.chars().count(), long.after.chars().count()), (AROUND + 2, AROUND + 1));
    }
}
