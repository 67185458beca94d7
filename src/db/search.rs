//! Finding attributes, derivations and pull requests by any part of their names.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

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

/// A term that the index of three-letter sequences can answer.
const SHORTEST: usize = 3;

/// All words, each anywhere in the text; quotes double inside of a string. `None`: no word is long enough.
fn matching(words: &[&str]) -> Option<String> {
    let long = words.iter().filter(|word| word.chars().count() >= SHORTEST);
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
    /// Attributes whose path or derivation name has all words, the shortest first; at most `most`.
    pub async fn search_attributes(
        &self,
        text: &str,
        repositories: Option<&[RepositoryName]>,
        most: u32,
    ) -> Result<Vec<FoundAttribute>, DbError> {
        let (text, repositories) = (text.to_owned(), listed(repositories));
        self.threads
            .read(move |connection| {
                let words: Vec<&str> = text.split_whitespace().collect();
                let columns = "a.repository, a.branch, a.attr, a.system, a.drv, a.name";
                let readable = "(?2 IS NULL OR a.repository IN (SELECT value FROM json_each(?2)))";
                let raw: Vec<RawAttribute> = match matching(&words) {
                    Some(matching) => {
                        // in the order of the index, which prefers short texts: sorting by anything else would read each row
                        let query = format!(
                            "SELECT {columns} FROM attributes_fts f JOIN attributes a ON a.id = f.rowid \
                             WHERE attributes_fts MATCH ?1 AND {readable} ORDER BY f.rank LIMIT ?3"
                        );
                        diesel::sql_query(query)
                            .bind::<Text, _>(matching)
                            .bind::<Nullable<Text>, _>(repositories)
                            .bind::<BigInt, _>(i64::from(most))
                            .load(connection)?
                    }
                    None => {
                        let Some(first) = words.first() else { return Ok(Vec::new()) };
                        let query = format!(
                            "SELECT {columns} FROM attributes a WHERE a.attr >= ?1 AND a.attr < ?1 || char(1114111) \
                             AND a.last IS NULL AND {readable} ORDER BY a.attr LIMIT ?3"
                        );
                        diesel::sql_query(query)
                            .bind::<Text, _>(*first)
                            .bind::<Nullable<Text>, _>(repositories)
                            .bind::<BigInt, _>(i64::from(most))
                            .load(connection)?
                    }
                };
                let found = |raw: RawAttribute| {
                    Ok::<_, DbError>(FoundAttribute {
                        repository: RepositoryName::new(raw.repository),
                        branch: raw.branch,
                        attr: parsed(WHAT, &raw.attr)?,
                        system: System::new(raw.system),
                        drv: if raw.drv.is_empty() { None } else { Some(parsed(WHAT, &raw.drv)?) },
                        name: raw.name,
                    })
                };
                Ok(raw.into_iter().map(found).collect::<Result<_, _>>()?)
            })
            .await
    }

    /// Derivations that were ever tried, by their base names (`HASH-NAME.drv`); at most `most`.
    pub async fn search_derivations(&self, text: &str, most: u32) -> Result<Vec<String>, DbError> {
        let text = text.to_owned();
        self.threads
            .read(move |connection| {
                let words: Vec<&str> = text.split_whitespace().collect();
                let Some(matching) = matching(&words) else { return Ok(Vec::new()) };
                let query = "SELECT base_name FROM derivations_fts WHERE derivations_fts MATCH ?1 ORDER BY rank LIMIT ?2";
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
                let words: Vec<&str> = text.split_whitespace().take(8).collect();
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
