//! What the tab of closures asks again and again, worked out once for each review: its orders, and what a search looks through.

use std::cmp::Reverse;
use std::ops::Deref;

use super::query::{ClosureOrder, ReviewQuery};
use crate::review::growth::{Grown, Growth, Runtime, Step};

/// What closures are made of, and its index.
pub struct Grows {
    growth: Growth,
    /// Rows are meant by their place in [`Growth::rows`].
    orders: [Vec<u32>; 4],
    /// The paths of attributes in lower case, one for each row.
    names: Vec<Box<str>>,
    /// The largest change of a runtime closure, in bytes.
    most: u64,
    /// Rows that were built on both sides.
    compared: usize,
    /// What all of them need more, each path counted once.
    together: i64,
}

impl Grows {
    pub fn new(growth: Growth) -> Self {
        let rows = &growth.rows;
        let mut by_name: Vec<u32> = (0..).take(rows.len()).collect();
        by_name.sort_by_key(|at| &rows[*at as usize].attr);
        // sorting keeps the order of what is equal: those are in the order of names
        let ordered = |order: ClosureOrder| {
            let mut places = by_name.clone();
            let row = |at: &u32| &rows[*at as usize];
            match order {
                ClosureOrder::Growth => places.sort_by_key(|at| {
                    let row = row(at);
                    (row.runtime.is_none(), Reverse(delta(row).unsigned_abs()), Reverse(built_more(row).unsigned_abs()))
                }),
                ClosureOrder::Size => places.sort_by_key(|at| Reverse(row(at).runtime.as_ref().map_or(0, |of| of.head_bytes))),
                ClosureOrder::Name => {}
                ClosureOrder::Build => places.sort_by_key(|at| Reverse(built_more(row(at)).unsigned_abs())),
            }
            places
        };
        Self {
            orders: ClosureOrder::ALL.map(|(order, ..)| ordered(order)),
            names: rows.iter().map(|row| row.attr.to_string().to_ascii_lowercase().into_boxed_str()).collect(),
            most: rows.iter().map(|row| delta(row).unsigned_abs()).max().unwrap_or(0).max(1),
            compared: rows.iter().filter(|row| row.runtime.is_some()).count(),
            together: growth.steps.iter().map(Step::delta).sum(),
            growth,
        }
    }

    /// The rows that a query asks for, in its order.
    pub fn select(&self, query: &ReviewQuery) -> Vec<&Grown> {
        let words: Vec<String> = query.text.split_whitespace().map(str::to_ascii_lowercase).collect();
        let place = ClosureOrder::ALL.iter().position(|(order, ..)| *order == query.order).unwrap_or_default();
        let admits = |at: &usize| {
            query.system.as_ref().is_none_or(|system| *system == self.growth.rows[*at].system)
                && words.iter().all(|word| self.names[*at].contains(word.as_str()))
        };
        self.orders[place].iter().map(|at| *at as usize).filter(admits).map(|at| &self.growth.rows[at]).collect()
    }

    pub fn most(&self) -> u64 {
        self.most
    }

    pub fn compared(&self) -> usize {
        self.compared
    }

    pub fn together(&self) -> i64 {
        self.together
    }
}

impl Deref for Grows {
    type Target = Growth;

    fn deref(&self) -> &Growth {
        &self.growth
    }
}

/// Of its runtime closure, in bytes.
pub fn delta(row: &Grown) -> i64 {
    row.runtime.as_ref().map_or(0, Runtime::delta)
}

fn built_more(row: &Grown) -> i64 {
    row.build.0.zip(row.build.1).map_or(0, |(base, head)| head.cast_signed() - base.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grown(attr: &str, bytes: Option<(u64, u64)>, build: (Option<u64>, Option<u64>)) -> Grown {
        let runtime = bytes.map(|(base_bytes, head_bytes)| Runtime { base_bytes, head_bytes, ..Runtime::default() });
        let (jobset, system) = ("default".into(), "x86_64-linux".into());
        Grown { jobset, system, attr: attr.parse().unwrap(), runtime, build, built_of: (None, None) }
    }

    #[test]
    fn rows_come_in_the_order_asked_for() {
        let rows = vec![
            grown("shrank", Some((90, 10)), (Some(5), Some(5))),
            grown("alone", None, (Some(5), Some(9))),
            grown("grew", Some((10, 30)), (Some(5), Some(6))),
            grown("Same", Some((50, 50)), (None, Some(7))),
        ];
        let grows = Grows::new(Growth { steps: Vec::new(), rows });
        let by = |order, text: &str| {
            let query = ReviewQuery { order, text: text.into(), ..ReviewQuery::default() };
            grows.select(&query).iter().map(|row| row.attr.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(by(ClosureOrder::Growth, ""), ["shrank", "grew", "Same", "alone"]);
        assert_eq!(by(ClosureOrder::Size, ""), ["Same", "grew", "shrank", "alone"]);
        assert_eq!(by(ClosureOrder::Build, ""), ["alone", "grew", "Same", "shrank"]);
        assert_eq!(by(ClosureOrder::Name, "S"), ["Same", "shrank"]);
        assert_eq!((grows.most(), grows.compared()), (80, 3));
    }
}
