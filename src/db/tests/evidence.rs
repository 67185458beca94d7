//! Evidence of reviews, and how derivations stood.

use std::sync::Arc;

use super::*;
use crate::db::*;
use crate::domain::*;

#[tokio::test]
async fn a_part_is_replaced_as_a_whole() {
    let house = House::new();
    let db = house.open();
    let id = ReviewId::new("one");
    let review = NewReview {
        id: id.clone(),
        repository: "local/packages".into(),
        number: None,
        base_rev: commit('0'),
        base_ref: None,
        head_rev: commit('a'),
        head_ref: None,
        tree: None,
    };
    db.create_review(review).await.unwrap();
    assert_eq!(db.evidence::<Vec<u32>>(&id, Part::Tree).await.unwrap(), None);
    for evidence in [vec![1_u32], vec![1, 2]] {
        db.save_evidence(&id, Part::Tree, Arc::new(evidence)).await.unwrap();
    }
    assert_eq!(db.evidence(&id, Part::Tree).await.unwrap(), Some(vec![1_u32, 2]));
    assert_eq!(db.evidence::<Vec<u32>>(&id, Part::Closures).await.unwrap(), None);
}

#[tokio::test]
async fn the_latest_standing_of_any_number_of_derivations_is_told() {
    let db = House::new().open();
    db.save_standings((0..2_000).map(|n| (drv(n), Outcome::DependencyFailed)).collect()).await.unwrap();
    db.save_standings(vec![(drv(7), Outcome::Succeeded)]).await.unwrap();
    let known = db.standings(&(0..2_001).map(drv).collect::<Vec<_>>()).await.unwrap();
    assert_eq!((known.len(), known[&drv(7)], known[&drv(8)]), (2_000, Outcome::Succeeded, Outcome::DependencyFailed));
}
