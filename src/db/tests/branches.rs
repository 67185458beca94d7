//! Branches over time, and what is found of them.

use super::*;
use crate::db::*;
use crate::domain::*;

fn key() -> BranchKey {
    BranchKey { repository: "local/packages".into(), branch: "main".into() }
}

async fn with_repository(house: &House) -> Db {
    let db = house.open();
    db.upsert_repository(RepositoryRow {
        name: key().repository,
        path: "/srv/packages".into(),
        base_branch: "main".into(),
        url: None,
        read_at: None,
        error: None,
    })
    .await
    .unwrap();
    db
}

fn one(attr: &str, number: Option<usize>) -> Evaluated {
    Evaluated {
        jobset: JobsetName::new("default"),
        system: System::new("x86_64-linux"),
        attr: attr.parse().unwrap(),
        drv: number.map(drv),
    }
}

#[tokio::test]
async fn a_state_costs_what_changed_in_it_and_any_two_can_be_compared() {
    let house = House::new();
    let db = with_repository(&house).await;
    let states = [
        ('a', vec![one("lib", Some(1)), one("app", Some(2)), one("old", Some(3)), one("bad", None)]),
        ('b', vec![one("lib", Some(1)), one("app", Some(4)), one("bad", None), one("new", Some(5))]),
        // noted already, by another review
        ('b', vec![one("lib", Some(9))]),
        ('c', vec![one("lib", Some(1)), one("app", Some(2)), one("bad", Some(6)), one("new", Some(5))]),
    ];
    for (rev, all) in states {
        db.note_point(&key(), &commit(rev), all, Some(1.5)).await.unwrap();
    }
    db.save_standings(vec![(drv(4), Outcome::Failed)]).await.unwrap();
    db.save_closure_sizes(vec![(drv(4), 77)]).await.unwrap();
    let points = db.points(&key(), 10).await.unwrap();
    let told = points.iter().map(|point| (point.rev.clone(), point.attributes, point.errors));
    assert_eq!(told.collect::<Vec<_>>(), [(commit('c'), 4, 0), (commit('b'), 3, 1), (commit('a'), 3, 1)]);

    let history = db.history(&key(), &"app".parse().unwrap()).await.unwrap();
    let spans = history.iter().map(|span| (span.is.drv.clone(), span.outcome, span.closure_bytes, span.last.is_none()));
    let expected = [
        (Some(drv(2)), None, None, true),
        (Some(drv(4)), Some(Outcome::Failed), Some(77), false),
        (Some(drv(2)), None, None, false),
    ];
    assert_eq!(spans.collect::<Vec<_>>(), expected);

    let attrs = async |earlier: usize, later: usize| {
        let spans = db.spans_between(&key(), points[earlier].id, points[later].id).await.unwrap();
        let mut attrs: Vec<String> = spans
            .iter()
            .map(|span| format!("{}{}", span.is.attr, if span.first <= points[earlier].id { "-" } else { "+" }))
            .collect();
        attrs.sort();
        attrs
    };
    assert_eq!(attrs(2, 1).await, ["app+", "app-", "new+", "old-"]);
    assert_eq!(attrs(1, 0).await, ["app+", "app-", "bad+", "bad-"]);
    // as it was two states ago: beginning and end of it are told, the page sees that they are the same
    assert_eq!(attrs(2, 0).await, ["app+", "app-", "bad+", "bad-", "new+", "old-"]);
    // it failed at the second state, and that was not so any more at the third
    let failing = db.failing_since(&key(), points[2].id).await.unwrap();
    assert_eq!(failing, [Lasted { first: points[1].id, last: Some(points[1].id) }]);
    assert!(db.failing_since(&key(), points[0].id).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_another_system_was_not_evaluated_for_has_not_gone() {
    let house = House::new();
    let db = with_repository(&house).await;
    let elsewhere = Evaluated { system: System::new("aarch64-linux"), ..one("lib", Some(2)) };
    db.note_point(&key(), &commit('a'), vec![one("lib", Some(1)), elsewhere], None).await.unwrap();
    db.note_point(&key(), &commit('b'), vec![one("lib", Some(3))], None).await.unwrap();
    let now = db.history(&key(), &"lib".parse().unwrap()).await.unwrap();
    assert_eq!(now.iter().filter(|span| span.last.is_none()).count(), 2);
    // a repository that went meanwhile has no history
    let gone = BranchKey { repository: "local/gone".into(), ..key() };
    db.note_point(&gone, &commit('a'), vec![one("lib", Some(1))], None).await.unwrap();
    assert!(db.points(&gone, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_called_so_comes_before_what_has_it_in_its_name() {
    let house = House::new();
    let db = with_repository(&house).await;
    let mut all: Vec<Evaluated> = (0..900).map(|n| one(&format!("many.with-json-{n}"), Some(n))).collect();
    all.extend([one("zzz.json", Some(1_000)), one("Json_c", Some(1_001)), one("ujson", Some(1_002))]);
    db.note_point(&key(), &commit('a'), all, None).await.unwrap();
    let found = db.search_attributes("JSON", None, 5).await.unwrap();
    let names: Vec<String> = found.rows.iter().map(|one| one.attr.to_string()).collect();
    assert_eq!(names[..2], ["zzz.json", "Json_c"]);
    assert!(names.len() == 5 && found.more, "{names:?}");
    // who may read another repository only is not told of these
    let found = db.search_attributes("json", Some(&["local/other".into()]), 5).await.unwrap();
    assert_eq!(found, FoundAttributes::default());
    let found = db.search_attributes("json-89", Some(&[key().repository]), 50).await.unwrap();
    assert_eq!((found.rows.len(), found.more), (11, false));
    assert!(db.search_attributes("json 7", None, 5).await.unwrap().more);
    // the same word once more, and more words than anybody needs
    assert_eq!(db.search_attributes(&"json-89 ".repeat(40), None, 50).await.unwrap().rows.len(), found.rows.len());
}

#[tokio::test]
async fn any_part_of_a_name_finds_what_is_there_now() {
    let house = House::new();
    let db = with_repository(&house).await;
    let all = vec![one("python3Packages.numpy", Some(1)), one("curl", Some(2)), one("set.\"odd\\\"name\"", None)];
    db.note_point(&key(), &commit('a'), all, None).await.unwrap();
    db.note_point(&key(), &commit('b'), vec![one("python3Packages.numpy", Some(1)), one("wget", Some(3))], None).await.unwrap();
    let found = async |text: &str, repositories: Option<&[RepositoryName]>| {
        let found = db.search_attributes(text, repositories, 10).await.unwrap();
        assert!(!found.more);
        found.rows.into_iter().map(|one| one.attr.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(found("ump pyth", None).await, ["python3Packages.numpy"]);
    assert_eq!(found("package-3", None).await, ["wget"]);
    assert_eq!(found("wg", None).await, ["wget"]);
    assert!(found("curl", None).await.is_empty(), "it is gone");
    // one without a length that the index has beside one with
    assert_eq!(found("3p numpy", None).await, ["python3Packages.numpy"]);
    assert!(found("zz numpy", None).await.is_empty());
    for odd in ["\"", "' OR 1 = 1 --", "AND OR NOT", "a\"b\"c*", "(", "%", "NEAR(x y)", "-", "äöü"] {
        assert!(found(odd, None).await.is_empty(), "{odd}");
    }
    assert!(found("numpy", Some(&["local/other".into()])).await.is_empty());
    assert_eq!(found("numpy", Some(&["local/packages".into()])).await.len(), 1);
    let pull = PullRow {
        repository: key().repository,
        number: 12,
        title: "numpy: 100% faster".into(),
        author: "Ines".into(),
        branch: "fast".into(),
        head: commit('c'),
        base_branch: "main".into(),
        base: commit('b'),
        state: PullState::Open,
        created_at: jiff::Timestamp::now(),
        updated_at: jiff::Timestamp::now(),
        additions: 1,
        deletions: 1,
        review: None,
    };
    db.upsert_pull(pull).await.unwrap();
    for (text, hits) in [("#12", 1), ("100%", 1), ("numpy ines", 1), ("fast_", 0), ("numpy 5%", 0)] {
        assert_eq!(db.search_pulls(text, None, 10).await.unwrap().len(), hits, "{text}");
    }
}
