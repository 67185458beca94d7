//! A repository on disk, watched while somebody works in it.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use super::*;
use crate::git::fixture::{Fixture, git_in};

async fn forge(fixture: &Fixture) -> LocalForge {
    LocalForge::open("local/sample".into(), fixture.path().into(), None, fixture.beside("scratch")).await.unwrap()
}

async fn read(forge: &LocalForge) -> RepositoryState {
    forge.read(BTreeSet::new()).await.unwrap()
}

fn standing<'a>(state: &'a RepositoryState, branch: &str) -> Option<&'a Standing> {
    let number = Number::OfBranch(branch.into());
    state.changes.iter().find(|change| change.number == number).map(|change| &change.standing)
}

fn open<'a>(state: &'a RepositoryState, branch: &str) -> Option<&'a OpenChange> {
    match standing(state, branch)? {
        Standing::Open(open) => Some(open),
        Standing::Merged | Standing::Closed => None,
    }
}

/// Reads again at each hint until the state is as wanted. The hints are without a timer: a change that is not noticed hangs
/// the test, and then fails it.
async fn until(forge: &LocalForge, hints: &mut BoxStream<'_, ()>, wanted: impl Fn(&RepositoryState) -> bool) {
    let noticed = async {
        while !wanted(&read(forge).await) {
            hints.next().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), noticed).await.expect("the change was never noticed");
}

fn watch(forge: &LocalForge) -> BoxStream<'static, ()> {
    watch::hints(forge.repository.common_dir(), Duration::from_secs(3600))
}

#[tokio::test]
async fn each_branch_but_the_base_is_a_pull_request() {
    let fixture = Fixture::with(&[("a", "1\n2\n3\n")]);
    fixture.git(&["switch", "-qc", "update/libtls"]);
    let head = fixture.commit("libtls: 3.3 -> 3.4\n\nAt last.", &[("a", "1\n2\nthree\n"), ("b", "b\n")]);
    let forge = forge(&fixture).await;
    let state = read(&forge).await;
    assert_eq!((state.base_branch.as_str(), &state.base), ("main", &fixture.id("main")));
    let open = open(&state, "update/libtls").unwrap();
    assert_eq!((open.branch.as_str(), &open.head, &open.origin), ("update/libtls", &head, &Origin::Here));
    assert_eq!((open.base_branch.as_str(), &open.base), ("main", &state.base));
    assert_eq!((open.title.as_str(), open.author.as_str()), ("libtls: 3.3 -> 3.4", "Ines Ørsted"));
    assert_eq!((open.additions, open.deletions), (2, 1));
}

#[tokio::test]
async fn a_branch_is_merged_however_it_got_into_the_base() {
    let fixture = Fixture::with(&[("a", "1\n"), ("b", "1\n"), ("c", "1\n")]);
    for (name, file) in [("plain", "a"), ("squashed", "b"), ("open", "c")] {
        fixture.git(&["switch", "-qc", name, "main"]);
        fixture.commit(name, &[(file, "2\n")]);
    }
    fixture.git(&["switch", "-q", "main"]);
    fixture.git(&["merge", "-q", "--no-ff", "-m", "merge", "plain"]);
    fixture.git(&["merge", "-q", "--squash", "squashed"]);
    fixture.commit("squashed (#2)", &[]);
    fixture.git(&["branch", "fresh"]);
    fixture.git(&["switch", "-q", "--orphan", "unrelated"]);
    fixture.commit("another history", &[("z", "z\n")]);
    let state = read(&forge(&fixture).await).await;
    for (name, merged) in [("plain", true), ("squashed", true), ("open", false), ("fresh", true), ("unrelated", false)] {
        assert_eq!(standing(&state, name) == Some(&Standing::Merged), merged, "{name}");
        assert_eq!(open(&state, name).is_none(), merged, "{name}");
    }
}

#[tokio::test]
async fn a_base_that_is_not_there_is_named() {
    let fixture = Fixture::with(&[]);
    let forge =
        LocalForge::open("local/x".into(), fixture.path().into(), Some("release".into()), fixture.beside("s")).await.unwrap();
    let error = forge.read(BTreeSet::new()).await.unwrap_err().to_string();
    assert_eq!(error, "local/x has no branch `release`, which its configuration names as the base");
}

#[tokio::test]
async fn a_branch_whose_commit_is_gone_hides_no_other() {
    let fixture = Fixture::with(&[]);
    fixture.git(&["branch", "good"]);
    fixture.git(&["branch", "bad"]);
    std::fs::write(fixture.path().join(".git/refs/heads/bad"), "0123456789012345678901234567890123456789\n").unwrap();
    let state = read(&forge(&fixture).await).await;
    assert_eq!(state.changes, [Change { number: Number::OfBranch("good".into()), standing: Standing::Merged }]);
}

#[tokio::test]
async fn what_happens_to_a_branch_is_noticed() {
    let fixture = Fixture::with(&[("a", "1\n")]);
    let forge = forge(&fixture).await;
    let mut hints = watch(&forge);

    fixture.git(&["branch", "deep/in/folders"]);
    until(&forge, &mut hints, |state| state.changes.len() == 1).await;

    fixture.git(&["switch", "-q", "deep/in/folders"]);
    let head = fixture.commit("a commit", &[("a", "2\n")]);
    until(&forge, &mut hints, |state| open(state, "deep/in/folders").is_some_and(|open| open.head == head)).await;

    fixture.git(&["pack-refs", "--all"]);
    let forced: CommitId = fixture.git(&["commit-tree", "-m", "force-pushed", "HEAD^{tree}"]).parse().unwrap();
    fixture.git(&["update-ref", "refs/heads/deep/in/folders", forced.as_str()]);
    until(&forge, &mut hints, |state| open(state, "deep/in/folders").is_some_and(|open| open.head == forced)).await;

    fixture.git(&["switch", "-q", "main"]);
    fixture.git(&["pack-refs", "--all"]);
    fixture.git(&["branch", "-qD", "deep/in/folders"]);
    until(&forge, &mut hints, |state| state.changes.is_empty()).await;

    let base = fixture.commit("the base moves", &[]);
    until(&forge, &mut hints, |state| state.base == base).await;
}

#[tokio::test]
async fn a_push_into_a_bare_repository_is_noticed() {
    let work = Fixture::with(&[("a", "1\n")]);
    let bare = Fixture::bare();
    let url = bare.path().to_str().unwrap().to_owned();
    work.git(&["push", "-q", &url, "main"]);
    let forge = forge(&bare).await;
    let mut hints = watch(&forge);
    work.commit("change", &[("a", "2\n")]);
    work.git(&["push", "-q", &url, "HEAD:refs/heads/change"]);
    until(&forge, &mut hints, |state| state.changes.len() == 1).await;
    work.git(&["commit", "-q", "--amend", "-m", "change, again"]);
    work.git(&["push", "-q", "--force", &url, "HEAD:refs/heads/change"]);
    until(&forge, &mut hints, |state| open(state, "change").is_some_and(|open| open.title == "change, again")).await;
}

#[tokio::test]
async fn a_commit_in_a_linked_worktree_is_noticed() {
    let fixture = Fixture::with(&[("a", "1\n")]);
    let linked = fixture.beside("linked");
    fixture.git(&["worktree", "add", "-q", "-b", "elsewhere", linked.to_str().unwrap()]);
    let forge = LocalForge::open("local/x".into(), linked.clone(), None, fixture.beside("scratch")).await.unwrap();
    let mut hints = watch(&forge);
    std::fs::write(linked.join("a"), "2\n").unwrap();
    git_in(&linked, &["commit", "-q", "--all", "-m", "from the linked worktree"]);
    until(&forge, &mut hints, |state| open(state, "elsewhere").is_some_and(|open| open.title == "from the linked worktree"))
        .await;
}

#[tokio::test]
async fn the_timer_hints_where_nothing_can_be_watched() {
    let nowhere = tempfile::tempdir().unwrap().path().join("gone");
    let mut hints = watch::hints(&nowhere, Duration::from_millis(5));
    assert_eq!(hints.next().await, Some(()));
    assert_eq!(hints.next().await, Some(()));
}
