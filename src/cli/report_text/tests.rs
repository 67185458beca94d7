use super::*;
use crate::domain::Level;
use crate::review::samples::{self, sample_report};

/// Everything of the sample, at eighty columns. A change here is a change of what people read.
const SAMPLE: &str = include_str!("sample.txt");

#[test]
fn the_sample_reads_as_it_should() {
    let text = render(&sample_report(), Colour::Never, Some(80));
    assert_eq!(text, SAMPLE, "the report now reads:\n{text}");
}

#[test]
fn the_first_line_is_the_verdict() {
    let report = sample_report();
    let text = render(&report, Colour::Never, None);
    assert_eq!(text.lines().next(), Some(report.verdict.summary.as_str()));
}

#[test]
fn colour_only_where_it_is_asked_for() {
    assert!(!render(&sample_report(), Colour::Never, Some(80)).contains('\u{1b}'));
    let coloured = render(&sample_report(), Colour::Always, Some(80));
    assert!(coloured.starts_with("\u{1b}[31mBlocked"));
    assert_eq!(console::strip_ansi_codes(&coloured), SAMPLE, "colour changes nothing else");
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for width in [40, 80, 200] {
        for line in render(&sample_report(), Colour::Never, Some(width)).lines() {
            let fits = console::measure_text_width(line) <= width;
            assert!(fits || !line.trim_start().contains(' '), "only a single word may be longer than {width}: {line}");
        }
    }
}

#[test]
fn ten_thousand_changes_are_still_a_page() {
    let report = samples::large_report(10_000);
    let text = render(&report, Colour::Never, Some(100));
    assert!(text.lines().count() < 150, "{} lines", text.lines().count());
    assert!(text.contains("more (see --json)"));
    assert!(text.contains("Rebuilds (10,000)"), "{text}");
}

#[test]
fn nothing_from_outside_reaches_the_terminal_raw() {
    let report = samples::hostile_report();
    let text = render(&report, Colour::Never, Some(100));
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    assert!(!text.lines().any(|line| line.starts_with("Mergeable")), "{text}");
}

#[test]
fn a_change_of_documents_is_a_few_lines() {
    let report = samples::reported(&[("a", "1")], &[("a", "1")], &crate::review::Facts::default());
    assert!(report.verdict.reasons.iter().all(|reason| reason.level == Level::Info));
    let text = render(&report, Colour::Never, None);
    let expected = "Mergeable: no derivation changes.\n\
        local/packages: update-libfoo (cccccccccccc) into main (bbbbbbbbbbbb)\n\n\
        Rebuilds (0)\n  1 derivation unchanged\n";
    assert_eq!(text, expected);
}

#[test]
fn conflicts_are_listed() {
    let mut header = samples::header();
    header.merge.conflicts = vec!["pkgs/a.nix".into(), "pkgs/b.nix".into()];
    let report = crate::review::report(&header, &crate::review::Comparison::default(), &crate::review::Facts::default());
    let text = render(&report, Colour::Never, None);
    assert!(text.contains("Conflicts (2)\n  pkgs/a.nix\n  pkgs/b.nix\n"), "{text}");
}

#[test]
fn a_line_of_a_log_is_continued_and_not_cut() {
    let narrow = render(&sample_report(), Colour::Never, Some(40));
    let pieces: String = narrow.lines().filter_map(|line| line.trim_start().strip_prefix("│ ")).collect();
    let wide = render(&sample_report(), Colour::Never, None);
    let whole: String = wide.lines().filter_map(|line| line.trim_start().strip_prefix("│ ")).collect();
    assert_eq!(pieces, whole);
    assert!(narrow.lines().count() > wide.lines().count());
}
