//! PURE: which labels a pull request has by what its review found.

use std::collections::BTreeSet;

use crate::config::labels::Labels;
use crate::review::report::{ReasonCode, Report};

/// What is to be on, and what of ours is not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    pub on: BTreeSet<String>,
    pub off: BTreeSet<String>,
}

/// Labels of systems that were not evaluated are left as they are.
pub fn wanted(settings: &Labels, report: &Report) -> Wanted {
    let mut wanted = Wanted::default();
    let names = settings.bucket_names();
    for (kernel, prefix) in &settings.prefixes {
        let is_of = |system: &crate::domain::System| system.as_str().ends_with(&format!("-{kernel}"));
        if !report.evaluations.iter().any(|row| is_of(&row.system)) {
            continue;
        }
        // a package that is rebuilt for two systems is one
        let rebuilt = report.changes.iter().filter(|change| change.rebuild && is_of(&change.system));
        let rebuilt: BTreeSet<_> = rebuilt.map(|change| &change.attr).collect();
        let bucket = settings.bucket(rebuilt.len() as u64);
        for (index, name) in names.iter().enumerate() {
            let set = if index == bucket { &mut wanted.on } else { &mut wanted.off };
            set.insert(format!("{prefix}{name}"));
        }
    }
    if let Some(staging) = &settings.staging {
        let needs = report.verdict.reasons.iter().any(|reason| reason.code == ReasonCode::ManyRebuilds);
        let set = if needs { &mut wanted.on } else { &mut wanted.off };
        set.insert(staging.clone());
    }
    // two prefixes may be the same
    wanted.off.retain(|label| !wanted.on.contains(label));
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::samples::sample_report;

    #[test]
    fn one_label_of_each_kernel_that_was_evaluated_is_on() {
        let report = sample_report();
        let settings = Labels { staging: Some("needs staging".into()), ..Labels::default() };
        let Wanted { on, off } = wanted(&settings, &report);
        assert_eq!(on.iter().filter(|label| label.starts_with("10.rebuild-linux: ")).count(), 1, "{on:?}");
        assert!(!on.iter().chain(&off).any(|label| label.contains("darwin")), "{off:?}");
        assert!(off.contains("needs staging") && off.len() == 8, "{off:?}");
    }
}
