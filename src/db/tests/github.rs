//! What GitHub sent, and which repositories it has for us.

use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::db::*;
use crate::domain::RepositoryName;
use crate::forge::command::Method;
use crate::forge::github::comments::Person;
use crate::forge::github::deeds::Words;
use crate::forge::opinion::{Opinion, Stance};

fn delivery(id: &str) -> NewDelivery {
    NewDelivery { id: id.into(), event: "push".into(), body: b"{\"ref\":\"refs/heads/main\"}".into(), comment: None, note: None }
}

fn seen(id: u64, name: &str) -> GitHubRepository {
    GitHubRepository { id, installation: 7, name: name.into(), default_branch: "main".into(), visibility: Visibility::Everyone }
}

async fn with_pull(db: &Db, name: &str) {
    let name = RepositoryName::from(name);
    let row = RepositoryRow {
        name: name.clone(),
        path: "/srv/mirror.git".into(),
        base_branch: "main".into(),
        url: None,
        read_at: None,
        error: None,
    };
    db.upsert_repository(row).await.unwrap();
    let at = jiff::Timestamp::UNIX_EPOCH;
    db.upsert_pull(PullRow {
        repository: name.clone(),
        number: 3,
        title: name.to_string(),
        author: "ines".into(),
        branch: "change".into(),
        head: commit('a'),
        base_branch: "main".into(),
        base: commit('b'),
        state: PullState::Open,
        created_at: at,
        updated_at: at,
        additions: 0,
        deletions: 0,
        review: None,
    })
    .await
    .unwrap();
    db.create_review(NewReview {
        id: format!("review of {name}").as_str().into(),
        repository: name,
        number: Some(3),
        base_rev: commit('b'),
        base_ref: None,
        head_rev: commit('a'),
        head_ref: None,
        tree: None,
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_delivery_is_stored_once_and_known_again_after_it_was_handled() {
    let house = House::new();
    let db = house.open();
    assert_eq!(db.store_delivery(delivery("1")).await.unwrap(), Stored::Now);
    assert_eq!(db.store_delivery(delivery("2")).await.unwrap(), Stored::Now);
    assert_eq!(db.store_delivery(delivery("1")).await.unwrap(), Stored::Before);
    let unhandled = |unhandled: Vec<(String, String, Vec<u8>)>| unhandled.into_iter().map(|row| row.0).collect::<Vec<_>>();
    db.deliveries_handled(vec!["1".into()]);
    db.flush().await.unwrap();
    assert_eq!(unhandled(db.unhandled_deliveries().await.unwrap()), ["2"]);
    db.close().await;

    let db = house.open();
    let [(id, event, body)] = &db.unhandled_deliveries().await.unwrap()[..] else { panic!("there is one") };
    assert_eq!((id.as_str(), event.as_str(), body), ("2", "push", &delivery("2").body));
    assert_eq!(db.store_delivery(delivery("1")).await.unwrap(), Stored::Before);
    // what was not handled is not forgotten
    db.forget_deliveries_older_than(Duration::ZERO);
    db.flush().await.unwrap();
    assert_eq!(db.store_delivery(delivery("2")).await.unwrap(), Stored::Before);
}

#[tokio::test]
async fn a_repository_keeps_what_is_known_of_it_under_another_name() {
    let house = House::new();
    let db = house.open();
    assert_eq!(db.call_the_roll(vec![seen(1, "us/a"), seen(2, "us/b"), seen(3, "us/c")]).await.unwrap(), RollCall::default());
    for name in ["us/a", "us/b", "us/c"] {
        with_pull(&db, name).await;
    }
    let opinion =
        Opinion { by: 101, login: "ines".into(), stance: Stance::Approves, head: Some(commit('a')), at: Timestamp::UNIX_EPOCH };
    let touched = Timestamp::UNIX_EPOCH;
    db.opinions_are(&"us/a".into(), 3, touched, vec![opinion.clone()]).await.unwrap();
    db.opinions_are(&"us/a".into(), 3, touched, vec![opinion.clone()]).await.unwrap();
    // two change names, one goes, one comes
    let call = db.call_the_roll(vec![seen(1, "us/b"), seen(2, "us/a"), seen(4, "us/d")]).await.unwrap();
    let renamed = |from: &str, to: &str| (RepositoryName::from(from), RepositoryName::from(to));
    assert_eq!(call.renamed, [renamed("us/a", "us/b"), renamed("us/b", "us/a")]);
    assert_eq!(call.gone, [RepositoryName::from("us/c")]);
    let repositories: Vec<String> = db.repositories().await.unwrap().into_iter().map(|row| row.name.to_string()).collect();
    assert_eq!(repositories, ["us/a", "us/b"]);
    for (name, was) in [("us/a", "us/b"), ("us/b", "us/a")] {
        let pull = db.pull(&name.into(), 3).await.unwrap().unwrap();
        assert_eq!(pull.title, was);
        let review = db.review(&format!("review of {was}").as_str().into()).await.unwrap().unwrap();
        assert_eq!(review.repository, name.into());
    }
    assert_eq!(db.opinions_of(&"us/b".into(), 3).await.unwrap(), [opinion]);
    assert_eq!(db.opinions().await.unwrap().len(), 1);
    let due = db.opinions_due(&"us/b".into(), vec![(3, touched), (4, touched)]).await.unwrap();
    assert_eq!(due, [(4, touched)]);
    let noted = db.happenings(&"us/b".into(), 3).await.unwrap();
    assert_eq!(noted.iter().filter(|happening| happening.what == What::Approved).count(), 1);
    assert_eq!(db.pull(&"us/c".into(), 3).await.unwrap(), None);
    assert_eq!(db.call_the_roll(vec![seen(1, "us/b")]).await.unwrap().gone.len(), 2);
    assert_eq!(db.call_the_roll(Vec::new()).await.unwrap().gone, [RepositoryName::from("us/b")]);
}

#[tokio::test]
async fn a_review_that_waits_is_superseded_by_the_next_one_and_was_never_allowed() {
    let house = House::new();
    let db = house.open();
    with_pull(&db, "us/packages").await;
    let review = |id: &str, head| NewReview {
        id: id.into(),
        repository: "us/packages".into(),
        number: Some(3),
        base_rev: commit('b'),
        base_ref: None,
        head_rev: commit(head),
        head_ref: None,
        tree: None,
    };
    let row = async |id: &str| db.review(&id.into()).await.unwrap().unwrap();
    let ended = db.create_waiting_review(review("one", 'c')).await.unwrap();
    assert_eq!(ended, ["review of us/packages".into()]);
    let one = row("one").await;
    assert!(one.waits() && one.summary == WAITS, "{one:?}");
    assert_eq!(db.create_waiting_review(review("two", 'd')).await.unwrap(), ["one".into()]);
    let one = row("one").await;
    assert!(!one.waits() && one.waits_since.is_some(), "{one:?}");
    db.create_review(review("three", 'd')).await.unwrap();
    assert!(!row("two").await.waits());
    assert_eq!(row("three").await.waits_since, None);
}

#[actix::test]
async fn a_comment_is_stored_with_the_head_that_it_came_to() {
    let house = House::new();
    let db = house.open();
    db.call_the_roll(vec![seen(5, "us/packages")]).await.unwrap();
    with_pull(&db, "us/packages").await;
    let came = async |comment: u64, number: u64| {
        let new = NewComment { key: CommentKey { repository: 5, comment }, number };
        db.store_delivery(NewDelivery { comment: Some(new), ..delivery(&comment.to_string()) }).await.unwrap();
    };
    came(1, 3).await;
    came(2, 4).await;
    let heads: Vec<_> = db.comments_to_do(5).await.unwrap().into_iter().map(|row| row.head).collect();
    assert_eq!(heads, [Some(commit('a')), None]);
    let name = RepositoryName::new("us/packages");
    let created = db.review(&"review of us/packages".into()).await.unwrap().unwrap().created_at;
    assert_eq!(db.head_known_since(&name, 3, &commit('a')).await.unwrap(), Some(created));
    assert_eq!(db.head_known_since(&name, 3, &commit('c')).await.unwrap(), None);
}

#[actix::test]
async fn nobody_takes_the_place_of_anothers_merge_while_it_waits() {
    let house = House::new();
    let db = house.open();
    let person = |id: u64| Person { id, login: format!("person{id}") };
    let ask = async |id: u64, head: char, method| {
        let words = Words::default();
        let new = NewMerge { repository: 5, number: 3, head: commit(head), method, words, by: person(id), comment: None };
        db.ask_for_merge(new).await.unwrap()
    };
    let stands = async || {
        let row = db.merge_of(5, 3).await.unwrap().unwrap();
        (row.by.id, row.method)
    };
    assert_eq!(ask(1, 'a', None).await, Asked::Stands);
    assert_eq!(ask(2, 'a', Some(Method::Rebase)).await, Asked::Before(person(1)));
    assert_eq!(stands().await, (1, None));
    // who ordered it may think better of it
    assert_eq!(ask(1, 'a', Some(Method::Squash)).await, Asked::Stands);
    assert_eq!(stands().await, (1, Some(Method::Squash)));
    // it is over, or of a head that is not there any more
    assert_eq!(ask(2, 'b', None).await, Asked::Stands);
    assert_eq!(stands().await, (2, None));
    let row = db.merge_of(5, 3).await.unwrap().unwrap();
    db.merge_is(&row, MergeState::Dropped, None).await.unwrap();
    assert_eq!(ask(1, 'b', None).await, Asked::Stands);
    assert_eq!(stands().await, (1, None));
}
