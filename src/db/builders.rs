//! What somebody said of builders.

use diesel::prelude::*;

use super::columns::now;
use super::schema::drained_builders as d;
use super::{Db, DbError};

impl Db {
    /// From now on the builder takes nothing new (`on`), or does again.
    pub async fn drain_builder(&self, name: &str, on: bool) -> Result<(), DbError> {
        let name = name.to_owned();
        self.threads
            .write(move |connection| {
                if on {
                    diesel::insert_or_ignore_into(d::table).values((d::name.eq(&name), d::at.eq(now()))).execute(connection)?;
                } else {
                    diesel::delete(d::table.find(&name)).execute(connection)?;
                }
                Ok(())
            })
            .await
    }

    /// Those that take nothing new, by name.
    pub async fn drained_builders(&self) -> Result<Vec<String>, DbError> {
        self.threads.read(|connection| Ok(d::table.select(d::name).order(d::name).load(connection)?)).await
    }
}
