use proptest::prelude::*;

use super::*;
use crate::domain::Outcome;
use crate::review::samples::{self, drv, facts, reported, sample_report};

/// A change here is a change of what people read.
const SAMPLE: &str = include_str!("sample.md");

#[test]
fn the_sample_reads_as_it_should() {
    let text = render(&sample_report());
    assert_eq!(text, SAMPLE, "the report now reads:\n{text}");
}

#[test]
fn ten_thousand_changes_fit_and_each_is_shown_or_counted() {
    let report = samples::large_report(10_000);
    let text = render(&report);
    assert!(text.len() <= LIMIT, "{}", text.len());
    assert!(text.len() > LIMIT / 2, "{}: the room is used", text.len());
    let (_, section) = text.split_once("<summary>Still succeeding (9,").unwrap();
    let (section, _) = section.split_once("</details>").unwrap();
    let shown = section.matches('`').count() / 2;
    let (_, rest) = section.split_once("… and ").unwrap();
    let left: usize = rest.split(' ').next().unwrap().replace(',', "").parse().unwrap();
    assert_eq!(shown + left, report.counts.still_succeeding as usize);
    assert!(text.contains("### Newly failing"), "a long section does not push out another");
}

#[test]
fn nothing_from_outside_has_a_meaning() {
    let text = render(&samples::hostile_report());
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    let rest = without_code(&text);
    assert!(!rest.contains("@everyone"), "{rest}");
    let own = ["details>", "/details>", "summary>", "/summary>"];
    for (i, _) in rest.match_indices('<') {
        assert!(rest[..i].ends_with('\\') || own.iter().any(|tag| rest[i + 1..].starts_with(tag)), "{rest}");
    }
    assert_eq!(rest.matches("<details>").count(), rest.matches("</details>").count(), "{rest}");
}

/// What is left where fences and code spans are taken out as CommonMark reads them.
fn without_code(text: &str) -> String {
    let mut out = String::new();
    let mut fence = 0;
    for line in text.lines() {
        let ticks = line.len() - line.trim_start_matches('`').len();
        match fence {
            0 if ticks >= 3 && !line[ticks..].contains('`') => fence = ticks,
            0 => out.push_str(&without_spans(line)),
            open if ticks >= open && line.trim_end().len() == ticks => fence = 0,
            _ => {}
        }
        out.push('\n');
    }
    assert_eq!(fence, 0, "a fence is left open");
    out
}

fn without_spans(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find('`') {
        out.push_str(&rest[..at]);
        let run = rest[at..].len() - rest[at..].trim_start_matches('`').len();
        let after = &rest[at + run..];
        let escaped = rest[..at].ends_with('\\');
        let runs = after.match_indices('`').map(|(i, _)| i).filter(|i| !after[..*i].ends_with('`'));
        let ends = |i: &usize| after[*i..].len() - after[*i..].trim_start_matches('`').len() == run;
        rest = match runs.into_iter().find(ends).filter(|_| !escaped) {
            Some(end) => &after[end + run..],
            None => after,
        };
    }
    out + rest
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn it_always_fits(
        names in proptest::collection::btree_set("[a-z@<`]{1,300}", 1..300),
        log in "(\\PC{0,300}\n){0,60}",
        failing in 0usize..300,
    ) {
        let quoted: Vec<(String, String, String)> = names
            .iter()
            .enumerate()
            .map(|(i, name)| (format!("\"{name}\""), format!("p-{i}"), format!("p-{i}.1")))
            .collect();
        let base: Vec<_> = quoted.iter().map(|(name, old, _)| (name.as_str(), old.as_str())).collect();
        let head: Vec<_> = quoted.iter().map(|(name, _, new)| (name.as_str(), new.as_str())).collect();
        let mut known = facts(&[]);
        for (i, (_, old, new)) in quoted.iter().enumerate() {
            known.outcomes.insert(drv(old), Outcome::Succeeded.into());
            let fails = i < failing;
            known.outcomes.insert(drv(new), if fails { Outcome::Failed } else { Outcome::Succeeded }.into());
            known = if fails { known.log(new, &log) } else { known };
        }
        let report = reported(&base, &head, &known);
        let text = render(&report);
        prop_assert!(text.len() <= LIMIT, "{} bytes", text.len());
        let title = format!("Newly failing ({})", report.counts.newly_failing);
        prop_assert!(report.counts.newly_failing == 0 || text.contains(&title));
    }
}
