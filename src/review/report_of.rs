use super::compare::Comparison;
use super::facts::{Facts, Header};
use super::report::Report;

/// The report of a review as far as its facts go: call it again whenever more is known.
pub fn report(header: &Header, comparison: &Comparison, facts: &Facts) -> Report {
    todo!()
}
