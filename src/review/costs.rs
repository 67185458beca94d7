//! What the evaluations of one side of a review cost together, in words.

use super::report::{EvaluationRow, Report};
use super::words::{count, thousands};
use crate::domain::Side;

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Costs {
    pub evaluated: u64,
    pub reused: u64,
    pub cpu_seconds: f64,
    pub trace_cpu_seconds: f64,
    /// Of the longest one: all jobsets are evaluated at once.
    pub wall_seconds: f64,
    /// Of the largest evaluating process.
    pub peak_memory_bytes: u64,
}

impl Costs {
    /// `None`: nothing of that side is evaluated yet.
    pub fn of(report: &Report, side: Side) -> Option<Costs> {
        let mut rows = report.evaluations.iter().filter(|row| row.side == side).peekable();
        rows.peek()?;
        Some(rows.fold(Costs::default(), Costs::and))
    }

    fn and(self, row: &EvaluationRow) -> Costs {
        Costs {
            evaluated: self.evaluated + row.attrs_evaluated,
            reused: self.reused + row.attrs_reused,
            cpu_seconds: self.cpu_seconds + row.cpu_seconds,
            trace_cpu_seconds: self.trace_cpu_seconds + row.trace_cpu_seconds,
            wall_seconds: self.wall_seconds.max(row.wall_seconds),
            peak_memory_bytes: self.peak_memory_bytes.max(row.peak_memory_bytes),
        }
    }

    /// `evaluated 14 of 12,511 attributes, 12,497 reused: 600 ms CPU, 800 ms, 310.0 MiB`
    pub fn words(&self, seconds: fn(f64) -> String, bytes: fn(u64) -> String) -> String {
        let all = self.evaluated + self.reused;
        if *self == Costs::default() {
            return "nothing to evaluate".to_owned();
        }
        let what = match (self.evaluated, self.reused) {
            (_, 0) => format!("evaluated {}", count(all, "attribute")),
            (0, 1) => "the one attribute reused".to_owned(),
            (0, _) => format!("all {} attributes reused", thousands(all)),
            (evaluated, reused) => {
                format!("evaluated {} of {}, {} reused", thousands(evaluated), count(all, "attribute"), thousands(reused))
            }
        };
        let mut costs = Vec::new();
        if self.cpu_seconds > 0.0 {
            costs.push(format!("{} CPU", seconds(self.cpu_seconds)));
        }
        costs.push(seconds(self.wall_seconds));
        if self.peak_memory_bytes > 0 {
            costs.push(bytes(self.peak_memory_bytes));
        }
        let mut words = format!("{what}: {}", costs.join(", "));
        if self.trace_cpu_seconds > 0.0 {
            words.push_str(&format!("; recorded for later changes: {} CPU", seconds(self.trace_cpu_seconds)));
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_read_well() {
        let words = |costs: Costs| costs.words(|seconds| format!("{seconds:.1} s"), |bytes| format!("{bytes} B"));
        let head = Costs {
            evaluated: 14,
            reused: 12_497,
            cpu_seconds: 0.61,
            wall_seconds: 0.84,
            peak_memory_bytes: 310,
            ..Costs::default()
        };
        assert_eq!(words(head), "evaluated 14 of 12,511 attributes, 12,497 reused: 0.6 s CPU, 0.8 s, 310 B");
        let full = Costs { reused: 0, trace_cpu_seconds: 42.0, ..head };
        assert_eq!(words(full), "evaluated 14 attributes: 0.6 s CPU, 0.8 s, 310 B; recorded for later changes: 42.0 s CPU");
        assert_eq!(words(Costs { reused: 9_231, ..Costs::default() }), "all 9,231 attributes reused: 0.0 s");
        assert_eq!(words(Costs::default()), "nothing to evaluate");
        assert_eq!(words(Costs { reused: 1, ..Costs::default() }), "the one attribute reused: 0.0 s");
    }
}
