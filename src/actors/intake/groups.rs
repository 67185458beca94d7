//! A merge queue's part of the intake: what it is about to land is reviewed on what it was made on, and given up with its branch.

use super::begin::{is_final, revision};
use super::visit::Visit;
use crate::actors::reviewer::Wishes;
use crate::db::DbError;
use crate::forge::{Forge, Group};

impl Visit {
    /// Makes the reviews of groups agree with the groups that there are.
    pub(super) async fn take_up_groups(&self, forge: &dyn Forge, groups: &[Group]) -> Result<(), DbError> {
        let branches = groups.iter().map(|group| group.branch.clone()).collect();
        let known = self.reviews.desk().db.reviews_of_groups(forge.name(), branches).await?;
        let is_of = |row: &crate::db::ReviewRow, group: &Group| {
            row.head_ref.as_ref() == Some(&group.branch) && row.head_rev == group.head && row.base_rev == group.base
        };
        for row in &known {
            if !groups.iter().any(|group| is_of(row, group)) {
                self.reviews.cancel(&row.id);
            }
        }
        for group in groups {
            let newest = known.iter().rev().find(|row| is_of(row, group));
            if newest.is_some_and(|row| self.reviews.is_open(&row.id) || is_final(row.state)) {
                continue;
            }
            let base = revision(group.base.clone(), Some(group.base_branch.clone()));
            let head = revision(group.head.clone(), Some(group.branch.clone()));
            self.begin(forge, None, base, head, Wishes::default(), None).await?;
        }
        Ok(())
    }
}
