//! Finding attributes, derivations and pull requests by any part of their names.

use std::collections::HashSet;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel::sqlite::SqliteConnection;

use super::columns::parsed;
use super::{Db, DbError};
use crate::domain::{AttrPath, DrvPath, RepositoryName, System};

const WHAT: &str = "what was searched for";

/// An attribute of a base branch as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundAttribute {
    pub repository: RepositoryName,
    pub branch: String,
    pub attr: AttrPath,
    pub system: System,
    /// `None`: its evaluation fails.
    pub drv: Option<DrvPath>,
    /// Name and version.
    pub name: String,
}

/// What was found of attributes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundAttributes {
    /// The nearest first.
    pub rows: Vec<FoundAttribute>,
    /// There are others, or not all were looked at.
    pub more: bool,
}

/// A pull request, open or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundPull {
    pub repository: RepositoryName,
    pub number: u64,
    pub title: String,
    pub author: String,
    pub state: String,
}

#[derive(QueryableByName)]
struct RawAttribute {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    repository: String,
    #[diesel(sql_type = Text)]
    branch: String,
    #[diesel(sql_type = Text)]
    attr: String,
    #[diesel(sql_type = Text)]
    system: String,
    #[diesel(sql_type = Text)]
    drv: String,
    #[diesel(sql_type = Text)]
    name: String,
}

impl RawAttribute {
    fn found(self) -> Result<FoundAttribute, DbError> {
        Ok(FoundAttribute {
            repository: RepositoryName::new(self.repository),
            branch: self.branch,
            attr: parsed(WHAT, &self.attr)?,
            system: System::new(self.system),
            drv: if self.drv.is_empty() { None } else { Some(parsed(WHAT, &self.drv)?) },
            name: self.name,
        })
    }
}

#[derive(QueryableByName)]
struct RawPull {
    #[diesel(sql_type = Text)]
    repository: String,
    #[diesel(sql_type = BigInt)]
    number: i64,
    #[diesel(sql_type = Text)]
    title: String,
    #[diesel(sql_type = Text)]
    author: String,
    #[diesel(sql_type = Text)]
    state: String,
}

#[derive(QueryableByName)]
struct RawName {
    #[diesel(sql_type = Text)]
    base_name: String,
}

const COLUMNS: &str = "a.id, a.repository, a.branch, a.attr, a.system, a.drv, a.name";
/// Repositories that may be read, as the second parameter has them.
const READABLE: &str = "(?2 IS NULL OR a.repository IN (SELECT value FROM json_each(?2)))";
/// An attribute's own name, in lower case: what comes after the last dot. As the index of it has it.
const OWN_NAME: &str = "lower(substr(a.attr, length(rtrim(a.attr, replace(a.attr, '.', ''))) + 1))";

/// Of those that the index names, so many are looked at for the best.
const CANDIDATES: usize = 400;
/// And so many where the index can't tell of all words.
const LOOKED_AT: usize = 5_000;
/// And so many where most may be of repositories that are not for whoever asks: some tens of milliseconds.
const OF_OTHERS_TOO: usize = 50_000;

/// What is looked for among attributes.
struct Search<'a> {
    words: &'a [&'a str],
    repositories: Option<&'a str>,
    most: usize,
}

impl Search<'_> {
    /// Attributes whose own name begins with the only word, then those whose path does; one more than asked for, if there are.
    fn beginning(&self, connection: &mut SqliteConnection) -> QueryResult<Vec<RawAttribute>> {
        let [word] = self.words else { return Ok(Vec::new()) };
        let mut found: Vec<RawAttribute> = Vec::new();
        for (what, word) in [(OWN_NAME, word.to_ascii_lowercase().as_str()), ("a.attr", *word)] {
            let query = format!(
                "SELECT {COLUMNS} FROM attributes a WHERE {what} >= ?1 AND {what} < ?1 || char(1114111) \
                 AND a.last IS NULL AND {READABLE} ORDER BY {what} LIMIT ?3"
            );
            let rows: Vec<RawAttribute> = diesel::sql_query(query)
                .bind::<Text, _>(word)
                .bind::<Nullable<Text>, _>(self.repositories)
                .bind::<BigInt, _>(limit(self.most + 1))
                .load(connection)?;
            let known: HashSet<i64> = found.iter().map(|row| row.id).collect();
            found.extend(rows.into_iter().filter(|row| !known.contains(&row.id)));
            if found.len() > self.most {
                break;
            }
        }
        Ok(found)
    }

    /// Attributes that have all words anywhere, the shortest first; and whether there may be others.
    fn anywhere(&self, connection: &mut SqliteConnection) -> QueryResult<(Vec<RawAttribute>, bool)> {
        let Some(matching) = matching(self.words) else { return Ok((Vec::new(), false)) };
        let short: Vec<String> = self.words.iter().filter(|word| !is_long(word)).map(|word| word.to_ascii_lowercase()).collect();
        let looked_at = match (self.repositories, short.is_empty()) {
            // what somebody may not read must not hide what they may
            (Some(_), _) => OF_OTHERS_TOO,
            (None, true) => CANDIDATES,
            (None, false) => LOOKED_AT,
        };
        let mut query = format!(
            "SELECT {COLUMNS} FROM (SELECT rowid AS id FROM attributes_fts WHERE attributes_fts MATCH ?1 LIMIT ?4) f \
             CROSS JOIN attributes a ON a.id = f.id WHERE {READABLE}"
        );
        for place in 0..short.len() {
            query += &format!(" AND instr(lower(a.attr || ' ' || a.name), ?{})", place + 5);
        }
        query += " LIMIT ?3";
        let mut query = diesel::sql_query(query)
            .into_boxed()
            .bind::<Text, _>(&matching)
            .bind::<Nullable<Text>, _>(self.repositories)
            .bind::<BigInt, _>(limit(CANDIDATES))
            .bind::<BigInt, _>(limit(looked_at));
        for word in short {
            query = query.bind::<Text, _>(word);
        }
        let mut rows: Vec<RawAttribute> = query.load(connection)?;
        let stopped = rows.len() >= CANDIDATES || (looked_at > CANDIDATES && matches_more(connection, &matching, looked_at)?);
        rows.sort_by(|a, b| (a.attr.len(), &a.attr).cmp(&(b.attr.len(), &b.attr)));
        Ok((rows, stopped))
    }
}

fn limit(number: usize) -> i64 {
    super::columns::integer(number as u64)
}

/// More than are looked at.
fn matches_more(connection: &mut SqliteConnection, matching: &str, looked_at: usize) -> QueryResult<bool> {
    let query = "SELECT count(*) AS number FROM (SELECT 1 FROM attributes_fts WHERE attributes_fts MATCH ?1 LIMIT ?2)";
    let query = diesel::sql_query(query).bind::<Text, _>(matching).bind::<BigInt, _>(limit(looked_at));
    Ok(query.get_result::<Counted>(connection)?.number >= limit(looked_at))
}

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// So many words say what one means. Each costs as much as it has matches.
const WORDS: usize = 8;

/// What is looked for, each word once.
fn words(text: &str) -> Vec<&str> {
    let mut seen = HashSet::new();
    text.split_whitespace().filter(|word| seen.insert(word.to_lowercase())).take(WORDS).collect()
}

/// A term that the index of three-letter sequences can answer.
const SHORTEST: usize = 3;

fn is_long(word: &str) -> bool {
    word.chars().count() >= SHORTEST
}

/// All words, each anywhere in the text; quotes double inside of a string. `None`: no word is long enough.
fn matching(words: &[&str]) -> Option<String> {
    let long = words.iter().filter(|word| is_long(word));
    let terms: Vec<String> = long.map(|word| format!("\"{}\"", word.replace('"', "\"\""))).collect();
    (!terms.is_empty()).then(|| terms.join(" AND "))
}

/// For LIKE, with `\` as the escape.
fn like(word: &str) -> String {
    word.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

/// Whose repositories are looked at, as a JSON list; `None`: everybody's.
fn listed(repositories: Option<&[RepositoryName]>) -> Option<String> {
    repositories.map(|names| serde_json::Value::from_iter(names.iter().map(RepositoryName::as_str)).to_string())
}

impl Db {
    /// Attributes whose path or derivation name has all words; at most `most`. Those whose own name is or begins with what is looked
    /// for come first, then the shortest of the first that the index names: to rank all that a common word matches takes a while.
    pub async fn search_attributes(
        &self,
        text: &str,
        repositories: Option<&[RepositoryName]>,
        most: u32,
    ) -> Result<FoundAttributes, DbError> {
        let (text, repositories) = (text.to_owned(), listed(repositories));
        self.threads
            .read(move |connection| {
                let words = words(&text);
                let search = Search { words: &words, repositories: repositories.as_deref(), most: most as usize };
                let mut raw = search.beginning(connection)?;
                let mut more = raw.len() > search.most;
                if !more {
                    let (others, stopped) = search.anywhere(connection)?;
                    let known: HashSet<i64> = raw.iter().map(|raw| raw.id).collect();
                    raw.extend(others.into_iter().filter(|other| !known.contains(&other.id)));
                    more = stopped || raw.len() > search.most;
                }
                raw.truncate(search.most);
                Ok(FoundAttributes { rows: raw.into_iter().map(RawAttribute::found).collect::<Result<_, _>>()?, more })
            })
            .await
    }

    /// Derivations that were ever tried, by their base names (`HASH-NAME.drv`), the latest first; at most `most`.
    pub async fn search_derivations(&self, text: &str, most: u32) -> Result<Vec<String>, DbError> {
        let text = text.to_owned();
        self.threads
            .read(move |connection| {
                let words = words(&text);
                let Some(matching) = matching(&words) else { return Ok(Vec::new()) };
                let query = "SELECT base_name FROM derivations_fts WHERE derivations_fts MATCH ?1 ORDER BY rowid DESC LIMIT ?2";
                let rows: Vec<RawName> =
                    diesel::sql_query(query).bind::<Text, _>(matching).bind::<BigInt, _>(i64::from(most)).load(connection)?;
                Ok(rows.into_iter().map(|row| row.base_name).collect())
            })
            .await
    }

    /// Pull requests whose number is asked for, or whose title, author or branch has all words; open ones first, at most `most`.
    pub async fn search_pulls(
        &self,
        text: &str,
        repositories: Option<&[RepositoryName]>,
        most: u32,
    ) -> Result<Vec<FoundPull>, DbError> {
        let (text, repositories) = (text.to_owned(), listed(repositories));
        self.threads
            .read(move |connection| {
                let words = words(&text);
                if words.is_empty() {
                    return Ok(Vec::new());
                }
                let mut query = String::from(
                    "SELECT repository, number, title, author, state FROM pulls p \
                     WHERE (?2 IS NULL OR repository IN (SELECT value FROM json_each(?2)))",
                );
                for place in 0..words.len() {
                    let bound = place + 4;
                    query +=
                        &format!(" AND (title || ' ' || author || ' ' || branch || ' #' || number) LIKE ?{bound} ESCAPE '\\'");
                }
                query += " ORDER BY state <> 'open', ?1 = '#' || number DESC, updated_at DESC LIMIT ?3";
                let mut query = diesel::sql_query(query)
                    .into_boxed()
                    .bind::<Text, _>(text.trim().to_owned())
                    .bind::<Nullable<Text>, _>(repositories)
                    .bind::<BigInt, _>(i64::from(most));
                for word in &words {
                    query = query.bind::<Text, _>(format!("%{}%", like(word)));
                }
                let rows: Vec<RawPull> = query.load(connection)?;
                let found = |raw: RawPull| FoundPull {
                    repository: RepositoryName::new(raw.repository),
                    number: super::columns::count(raw.number),
                    title: raw.title,
                    author: raw.author,
                    state: raw.state,
                };
                Ok(rows.into_iter().map(found).collect())
            })
            .await
    }
}
