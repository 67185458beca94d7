//! The report to paste into a pull request.

use crate::review::report::Report;

/// In bytes, hence at most as many characters. GitHub refuses a comment of more than 65,536 characters.
pub const LIMIT: usize = 60_000;

/// Never longer than [`LIMIT`]; what is left out is counted where it is left out.
pub fn render(report: &Report) -> String {
    todo!()
}
