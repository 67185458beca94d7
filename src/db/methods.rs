//! How repositories on GitHub let pull requests be merged.

use diesel::prelude::*;

use super::columns::{integer, of_word, word};
use super::schema::github_repositories as g;
use super::{Db, DbError};
use crate::domain::RepositoryName;
use crate::forge::command::Method;

const WHAT: &str = "how pull requests are merged";

impl Db {
    /// As they were read.
    pub async fn merge_methods_are(&self, name: &RepositoryName, methods: &[Method]) -> Result<(), DbError> {
        let words: Vec<&str> = methods.iter().map(|method| word(*method)).collect();
        let (name, words) = (name.clone(), words.join(" "));
        self.threads
            .write(move |connection| {
                let other = g::merge_methods.is_null().or(g::merge_methods.ne(&words));
                let of = g::table.filter(g::name.eq(name.as_str())).filter(other);
                diesel::update(of).set(g::merge_methods.eq(&words)).execute(connection)?;
                Ok(())
            })
            .await
    }

    /// By GitHub's number of the repository; `None`: it is not known.
    pub async fn merge_methods(&self, repository: u64) -> Result<Option<Vec<Method>>, DbError> {
        self.threads
            .read(move |connection| {
                let of = g::table.find(integer(repository)).select(g::merge_methods);
                let words: Option<Option<String>> = of.first(connection).optional()?;
                let methods = |words: String| words.split_whitespace().map(|word| of_word(WHAT, word)).collect();
                Ok(words.flatten().map(methods).transpose()?)
            })
            .await
    }
}
