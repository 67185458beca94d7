//! Sessions, and strangers' changes.

use super::*;
use crate::db::*;
use crate::domain::*;
use crate::review::report::State;

fn ann() -> UserRow {
    UserRow { id: UserId(7), login: "ann".into(), name: Some("Ann".into()) }
}

fn session(secret: &str, user: UserRow, lasts: i64) -> NewSession {
    let expires_at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(lasts);
    NewSession { hash: SessionHash::of(secret), user, expires_at, sealed_token: secret.as_bytes().to_vec() }
}

#[actix::test]
async fn a_session_holds_until_it_is_over_or_revoked() {
    let house = House::new();
    let db = house.open();
    db.open_session(session("one", ann(), 60)).await.unwrap();
    db.open_session(session("over", ann(), -1)).await.unwrap();
    db.open_session(session("two", UserRow { login: "anna".into(), ..ann() }, 60)).await.unwrap();
    let user = async |secret: &str| db.session(SessionHash::of(secret)).await.unwrap().map(|row| row.user.login);
    // the number is the person, under the name that was heard last
    assert_eq!(user("one").await.as_deref(), Some("anna"));
    assert_eq!((user("over").await, user("three").await), (None, None));

    let one = SessionHash::of("one");
    assert_eq!(db.sealed_token(one).await.unwrap().as_deref(), Some(&b"one"[..]));
    assert!(db.replace_sealed_token(one, b"fresh".to_vec()).await.unwrap());
    assert_eq!(db.revoke_session(one).await.unwrap().as_deref(), Some(&b"fresh"[..]));
    assert_eq!(db.revoke_session(one).await.unwrap(), None);
    assert_eq!((user("one").await, db.sealed_token(one).await.unwrap()), (None, None));
    assert!(!db.replace_sealed_token(one, b"late".to_vec()).await.unwrap());
    assert!(user("two").await.is_some());
    db.close().await;
    let db = house.open();
    assert!(db.session(SessionHash::of("two")).await.unwrap().is_some());
    assert!(db.session(one).await.unwrap().is_none());
}

#[actix::test]
async fn a_review_that_waits_is_not_begun_before_its_head_is_allowed() {
    let house = House::new();
    let db = house.open();
    let name = RepositoryName::new("us/packages");
    db.upsert_repository(RepositoryRow {
        name: name.clone(),
        path: "/srv/packages".into(),
        base_branch: "main".into(),
        url: None,
        read_at: None,
        error: None,
    })
    .await
    .unwrap();
    let review = |id: &str, head| NewReview {
        id: id.into(),
        repository: name.clone(),
        number: Some(1),
        base_rev: commit('0'),
        base_ref: None,
        head_rev: commit(head),
        head_ref: None,
        tree: None,
    };
    let waits = async |id: &str| db.review(&id.into()).await.unwrap().unwrap().waits();
    db.create_waiting_review(review("a", 'a')).await.unwrap();
    let row = db.review(&"a".into()).await.unwrap().unwrap();
    assert!(row.waits_since.is_some() && row.state == State::Evaluating && row.summary == WAITS);

    // a push while it waits: the new head waits, the old one is over
    assert_eq!(db.create_waiting_review(review("b", 'b')).await.unwrap(), [ReviewId::new("a")]);
    assert!(!waits("a").await && waits("b").await);
    assert!(db.allowed_heads(&name, 1).await.unwrap().is_empty());
    db.open_session(session("one", ann(), 60)).await.unwrap();
    assert!(db.allow_review(&"b".into(), &name, 1, &commit('b'), Some(UserId(7))).await.unwrap());
    assert!(!db.allow_review(&"b".into(), &name, 1, &commit('b'), None).await.unwrap(), "once is enough");
    assert!(!waits("b").await);
    assert_eq!(db.allowed_heads(&name, 1).await.unwrap(), [commit('b')]);
    assert!(db.allowed_heads(&name, 2).await.unwrap().is_empty());
    assert_eq!(db.open_reviews().await.unwrap().len(), 1);
}
