use proptest::prelude::*;

use super::*;
use crate::review::samples::{attr, compared, drv, evaluation, evaluation_of, job_with};

/// `attr aliases… kind [rebuild]`
fn shown(comparison: &Comparison) -> Vec<String> {
    let row = |row: &Row| {
        let names: Vec<String> = std::iter::once(&row.attr).chain(&row.aliases).map(ToString::to_string).collect();
        format!("{} {:?}{}", names.join(" "), row.change, if row.rebuild { " rebuild" } else { "" })
    };
    let error = |error: &EvalErrorRow| format!("{} error {:?}: {}", error.attr, error.status, error.message);
    comparison.rows.iter().map(row).chain(comparison.eval_errors.iter().map(error)).collect()
}

#[test]
fn each_transition() {
    const ABSENT: &str = "";
    let table: [(&str, &str, u64, &[&str]); 11] = [
        (ABSENT, "x", 0, &["a Added rebuild"]),
        (ABSENT, "!boom", 0, &["a error New: boom"]),
        ("x", ABSENT, 0, &["a Removed"]),
        ("x", "x", 1, &[]),
        ("x", "y", 0, &["a Changed rebuild"]),
        ("x", "!boom", 0, &["a error New: boom"]),
        ("!boom", ABSENT, 0, &["a error Fixed: boom"]),
        ("!boom", "x", 0, &["a Added rebuild", "a error Fixed: boom"]),
        ("!boom", "!boom", 0, &["a error Still: boom"]),
        ("!boom", "!bang", 0, &["a error Still: bang"]),
        (ABSENT, ABSENT, 0, &[]),
    ];
    for (base, head, unchanged, expected) in table {
        let side = |text: &'static str| if text == ABSENT { vec![] } else { vec![("a", text)] };
        let comparison = compared(&side(base), &side(head));
        assert_eq!(shown(&comparison), expected, "{base:?} -> {head:?}");
        assert_eq!(comparison.unchanged, unchanged, "{base:?} -> {head:?}");
    }
}

#[test]
fn what_is_the_same_is_a_row_where_somebody_asked_for_it() {
    let base = [evaluation(&[("a", "x"), ("b", "1"), ("e", "!boom")])];
    let head = [evaluation(&[("a", "x"), ("b", "2"), ("c", "x"), ("e", "!boom")])];
    let asked = ["a", "b", "c", "e", "none"].map(attr).into();
    let comparison = compare(&base, &head).with_asked(&base, &head, &asked);
    assert_eq!(shown(&comparison), ["a Same", "b Changed rebuild", "c Added", "e error Still: boom"]);
    assert_eq!(comparison.head_targets(), [drv("x"), drv("2")]);
    assert_eq!(comparison.unchanged, 1);
}

#[test]
fn a_row_that_erred_on_the_base_says_so() {
    let comparison = compared(&[("a", "!boom")], &[("a", "x"), ("b", "y")]);
    let errored: Vec<bool> = comparison.rows.iter().map(|row| row.base_errored).collect();
    assert_eq!(errored, [true, false]);
}

#[test]
fn what_sorts_after_the_last_is_removed_too() {
    let comparison = compared(&[("a", "1"), ("m", "2"), ("z", "3"), ("zz.z", "4")], &[("m", "2")]);
    assert_eq!(shown(&comparison), ["a Removed", "z Removed", "zz.z Removed"]);
    let emptied = compared(&[("a", "1"), ("z", "2")], &[]);
    assert_eq!(shown(&emptied), ["a Removed", "z Removed"]);
}

#[test]
fn a_rename_costs_nothing() {
    let comparison = compared(&[("old", "x"), ("b", "y")], &[("new", "x"), ("b", "y")]);
    assert_eq!(shown(&comparison), ["new Added", "old Removed"]);
    assert_eq!(comparison.head_targets(), []);
    assert_eq!(comparison.head_lookups(), [drv("x")]);
}

#[test]
fn a_move_to_another_jobset_or_system_costs_nothing() {
    let one =
        |jobset, system| [evaluation_of(jobset, system, [(attr("a"), Attr::Derivation(job_with("x", &[("out", Some("x"))])))])];
    let comparison = compare(&one("default", "x86_64-linux"), &one("extra", "i686-linux"));
    assert_eq!(shown(&comparison), ["a Removed", "a Added"]);
    assert!(comparison.head_targets().is_empty());
}

#[test]
fn names_of_one_derivation_are_one_row() {
    let comparison = compared(
        &[("python3Packages.foo", "1"), ("foo", "1"), ("foo_1", "1")],
        &[("python3Packages.foo", "2"), ("foo", "2"), ("foo_1", "2")],
    );
    assert_eq!(shown(&comparison), ["foo foo_1 python3Packages.foo Changed rebuild"]);
    assert_eq!(compared(&[("b", "1"), ("a", "1")], &[("a", "1"), ("b", "1")]).unchanged, 1);
}

#[test]
fn names_that_differed_on_the_base_are_rows_of_their_own() {
    let base = [("a", "1"), ("b", "2"), ("bb", "2"), ("e", "!boom")];
    let head = [("a", "3"), ("b", "3"), ("bb", "3"), ("c", "3"), ("e", "3")];
    let comparison = compared(&base, &head);
    let expected = ["a Changed rebuild", "b bb Changed rebuild", "c Added rebuild", "e Added rebuild", "e error Fixed: boom"];
    assert_eq!(shown(&comparison), expected);
    assert_eq!(comparison.head_targets(), [drv("3")], "one derivation is built once");
}

fn with_outputs(name: &str, outputs: &[(&str, Option<&str>)]) -> Evaluation {
    evaluation_of("default", "x86_64-linux", [(attr("a"), Attr::Derivation(job_with(name, outputs)))])
}

#[test]
fn a_rebuild_is_an_output_that_the_base_lacks() {
    let rebuild =
        |base: &Evaluation, head: &Evaluation| compare(std::slice::from_ref(base), std::slice::from_ref(head)).rows[0].rebuild;
    let fetched = with_outputs("src", &[("out", Some("content"))]);
    assert!(!rebuild(&fetched, &with_outputs("mirror", &[("out", Some("content"))])), "the same content from elsewhere");
    let two = with_outputs("v2", &[("dev", Some("new")), ("out", Some("content"))]);
    assert!(rebuild(&fetched, &two), "a changed output besides `out` counts");
    assert!(
        rebuild(&with_outputs("v1", &[("out", None)]), &with_outputs("v2", &[("out", None)])),
        "unknown paths of another derivation"
    );
}

#[test]
fn an_unknown_path_of_the_same_derivation_is_no_rebuild() {
    let base = with_outputs("v1", &[("out", None)]);
    let mut head = base.clone();
    let job = head.attrs.remove(&attr("a")).unwrap();
    head.attrs.insert(attr("renamed"), job);
    assert_eq!(shown(&compare(&[base], &[head])), ["a Removed", "renamed Added"]);
}

#[test]
fn what_a_throwing_set_hides_is_not_removed() {
    let base = [("set.a", "1"), ("set.b.c", "2"), ("settle", "3"), ("other", "4")];
    let comparison = compared(&base, &[("set", "!boom")]);
    assert_eq!(shown(&comparison), ["other Removed", "settle Removed", "set error New: boom"]);
    assert_eq!(comparison.eval_errors[0].hides, 2);
    let whole = compared(&base, &[("", "!syntax error")]);
    assert!(whole.rows.is_empty());
    assert_eq!(whole.eval_errors[0].hides, 4);
}

#[test]
fn what_appears_below_a_set_that_threw_was_broken() {
    let comparison = compared(&[("set", "!boom")], &[("set.a", "1"), ("set.b", "!bang")]);
    assert_eq!(shown(&comparison), ["set.a Added rebuild", "set error Fixed: boom", "set.b error Still: bang"]);
    assert!(comparison.rows[0].base_errored);
}

#[test]
fn the_base_is_asked_for_as_the_policy_says() {
    use crate::config::repository::BaseBuilds;
    use crate::domain::Outcome;
    use crate::review::samples::facts;
    let comparison = compared(&[("a", "a1"), ("b", "b1"), ("gone", "g")], &[("a", "a2"), ("b", "b2"), ("new", "n")]);
    let all = Policy { base: BaseBuilds::All, ..Policy::default() };
    let failing = Policy { base: BaseBuilds::Failing, ..Policy::default() };
    assert_eq!(comparison.base_targets_for(&facts(&[]), &all), [drv("a1"), drv("b1")]);
    assert_eq!(comparison.base_targets_for(&facts(&[]), &failing), []);
    let known = facts(&[("a2", Outcome::Failed), ("b2", Outcome::Succeeded), ("n", Outcome::Failed)]);
    assert_eq!(comparison.base_targets_for(&known, &failing), [drv("a1")]);
    let base_known = facts(&[("a2", Outcome::Failed), ("a1", Outcome::Infrastructure), ("b2", Outcome::Unsupported)]);
    assert_eq!(comparison.base_targets_for(&base_known, &all), [], "what can't be known is not asked for twice");
    assert_eq!(comparison.base_targets_for(&Facts { building: false, ..Facts::default() }, &all), []);
}

#[test]
fn details_are_wanted_of_each_side_that_exists() {
    let comparison = compared(&[("a", "1"), ("gone", "2")], &[("a", "3"), ("new", "4")]);
    let names = |side| comparison.details_wanted(side).into_iter().map(|(_, _, attr)| attr.to_string()).collect::<Vec<_>>();
    assert_eq!(names(Side::Base), ["a", "gone"]);
    assert_eq!(names(Side::Head), ["a", "new"]);
}

/// Names and derivations, as [`evaluation`] reads them.
type Named = Vec<(String, String)>;

fn any_side() -> impl Strategy<Value = Named> {
    let name = prop_oneof!["[a-f]", "[a-c]\\.[a-c]", "[ab]\\.[ab]\\.[ab]"];
    let value = prop_oneof![4 => "[1-9]", 1 => "![xy]"];
    proptest::collection::vec((name, value), 0..14)
}

fn of(side: &[(String, String)]) -> Evaluation {
    evaluation(&side.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect::<Vec<_>>())
}

/// What an attribute counts as: a derivation, an error (its own or that of a set it lies in), or nothing.
fn standing<'a>(evaluation: &'a Evaluation, path: &AttrPath) -> Option<Option<&'a DrvPath>> {
    match evaluation.attrs.get(path) {
        Some(Attr::Derivation(job)) => Some(Some(&job.drv)),
        Some(Attr::Failed(_)) => Some(None),
        None => {
            let above = |error: &&AttrPath| path.starts_with(error);
            let failed = evaluation.attrs.iter().filter(|(_, attr)| matches!(attr, Attr::Failed(_))).map(|(path, _)| path);
            failed.into_iter().find(above).map(|_| None)
        }
    }
}

proptest! {
    #[test]
    fn an_evaluation_compared_with_itself_changes_nothing(side in any_side()) {
        let evaluation = of(&side);
        let comparison = compare(std::slice::from_ref(&evaluation), std::slice::from_ref(&evaluation));
        prop_assert_eq!(comparison.rows, []);
        prop_assert!(comparison.eval_errors.iter().all(|error| error.status == EvalErrorStatus::Still));
    }

    #[test]
    fn each_attribute_is_accounted_for_once(base in any_side(), head in any_side()) {
        let (base, head) = (of(&base), of(&head));
        let comparison = compare(std::slice::from_ref(&base), std::slice::from_ref(&head));
        let mut kinds: BTreeMap<&AttrPath, ChangeKind> = BTreeMap::new();
        for row in &comparison.rows {
            for path in std::iter::once(&row.attr).chain(&row.aliases) {
                prop_assert!(kinds.insert(path, row.change).is_none(), "{} is in two rows", path);
                prop_assert!(row.attr.to_string().len() <= path.to_string().len());
            }
        }
        for path in base.attrs.keys().chain(head.attrs.keys()) {
            let expected = match (standing(&base, path), standing(&head, path)) {
                (Some(Some(base)), Some(Some(head))) => (base != head).then_some(ChangeKind::Changed),
                (Some(Some(_)), None) => Some(ChangeKind::Removed),
                (None | Some(None), Some(Some(_))) => Some(ChangeKind::Added),
                (_, Some(None)) | (None | Some(None), None) => None,
            };
            prop_assert_eq!(kinds.get(path).copied(), expected, "{}", path);
        }
    }

    #[test]
    fn errors_add_up(base in any_side(), head in any_side()) {
        let (base, head) = (of(&base), of(&head));
        let comparison = compare(std::slice::from_ref(&base), std::slice::from_ref(&head));
        for (path, attr) in base.attrs.iter().chain(&head.attrs) {
            let listed = comparison.eval_errors.iter().filter(|error| error.attr == *path).count();
            let errs = matches!(attr, Attr::Failed(_));
            prop_assert!(listed <= 1 && (!errs || listed == 1));
        }
    }

    #[test]
    fn the_way_back_is_the_mirror_image(base in any_side(), head in any_side()) {
        let (base, head) = (of(&base), of(&head));
        let there = compare(std::slice::from_ref(&base), std::slice::from_ref(&head));
        let back = compare(std::slice::from_ref(&head), std::slice::from_ref(&base));
        prop_assert_eq!(there.unchanged, back.unchanged);
        let changed = |comparison: &Comparison| -> BTreeSet<AttrPath> {
            let rows = comparison.rows.iter().filter(|row| row.change == ChangeKind::Changed);
            rows.flat_map(|row| std::iter::once(&row.attr).chain(&row.aliases)).cloned().collect()
        };
        prop_assert_eq!(changed(&there), changed(&back));
        let with = |comparison: &Comparison, status| comparison.eval_errors.iter().filter(|error| error.status == status).count();
        prop_assert_eq!(with(&there, EvalErrorStatus::New), with(&back, EvalErrorStatus::Fixed));
        prop_assert_eq!(with(&there, EvalErrorStatus::Still), with(&back, EvalErrorStatus::Still));
    }

    #[test]
    fn the_order_of_evaluations_is_of_no_account(
        sides in proptest::collection::vec((any_side(), any_side()), 1..4),
        turn in 0usize..4,
    ) {
        let all = |pick: fn(&(Named, Named)) -> &Named| -> Vec<Evaluation> {
            sides.iter().enumerate().map(|(i, pair)| Evaluation { jobset: format!("set{i}").as_str().into(), ..of(pick(pair)) }).collect()
        };
        let (base, mut head) = (all(|pair| &pair.0), all(|pair| &pair.1));
        let expected = compare(&base, &head);
        let turn = turn % head.len();
        head.rotate_left(turn);
        prop_assert_eq!(compare(&base, &head), expected);
    }

    #[test]
    fn only_what_the_base_lacks_is_built(base in any_side(), head in any_side()) {
        let (base, head) = (of(&base), of(&head));
        let drvs = |evaluation: &Evaluation| -> BTreeSet<DrvPath> {
            evaluation.attrs.values().filter_map(|attr| if let Attr::Derivation(job) = attr { Some(job.drv.clone()) } else { None }).collect()
        };
        let targets: BTreeSet<DrvPath> = compare(std::slice::from_ref(&base), std::slice::from_ref(&head)).head_targets().into_iter().collect();
        prop_assert_eq!(targets, drvs(&head).difference(&drvs(&base)).cloned().collect::<BTreeSet<_>>());
    }
}
