//! The report as a terminal shows it. The first line is the verdict.

use crate::review::report::Report;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    Never,
    Always,
}

/// `width`: columns of the terminal; `None` where the output is no terminal, and lines are as long as they are.
pub fn render(report: &Report, colour: Colour, width: Option<usize>) -> String {
    todo!()
}
