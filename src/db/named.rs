//! Which attributes of base branches a derivation is, or was.

use diesel::prelude::*;

use super::columns::parsed;
use super::schema::attributes as a;
use super::threads::Fault;
use super::{BranchKey, Db, DbError};
use crate::domain::{AttrPath, DrvPath, RepositoryName, System};

const WHAT: &str = "an attribute of a branch";

/// An attribute that is a derivation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub of: BranchKey,
    pub system: System,
    pub attr: AttrPath,
    /// At the latest point of the branch.
    pub still: bool,
}

impl Db {
    /// What is so still comes first.
    pub async fn names_of(&self, drv: &DrvPath, most: u32) -> Result<Vec<Named>, DbError> {
        let drv = drv.clone();
        self.threads
            .read(move |connection| {
                let rows: Vec<(String, String, String, String, Option<i64>)> = a::table
                    .filter(a::drv.eq(drv.as_str()))
                    .order((a::last.is_not_null(), a::repository, a::branch, a::attr, a::first.desc()))
                    .limit(most.into())
                    .select((a::repository, a::branch, a::system, a::attr, a::last))
                    .load(connection)?;
                let named = |(repository, branch, system, attr, last): (String, String, String, String, Option<i64>)| {
                    Ok::<_, Fault>(Named {
                        of: BranchKey { repository: RepositoryName::new(repository), branch },
                        system: System::new(system),
                        attr: parsed(WHAT, &attr)?,
                        still: last.is_none(),
                    })
                };
                rows.into_iter().map(named).collect()
            })
            .await
    }
}
