//! The room against real repositories.

use std::path::Path;

use super::fixture::{Fixture, git_in};
use super::*;
use crate::domain::CommitId;

/// Every file below a directory with its size and time of change: to show that nothing was written.
fn listing(dir: &Path) -> Vec<(std::path::PathBuf, u64, std::time::SystemTime)> {
    let mut found = Vec::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let entry = entry.unwrap();
            let metadata = entry.path().symlink_metadata().unwrap();
            if metadata.is_dir() {
                todo.push(entry.path());
            }
            found.push((entry.path(), metadata.len(), metadata.modified().unwrap()));
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn revisions_are_resolved() {
    let fixture = Fixture::with(&[("a", "1")]);
    let first = fixture.id("HEAD");
    fixture.git(&["tag", "-a", "-m", "tag", "v1"]);
    fixture.git(&["branch", "feature/x"]);
    let second = fixture.commit("second", &[("a", "2")]);
    fixture.git(&["update-ref", "refs/heads/-dash", first.as_str()]);
    let repository = fixture.open().await;
    for (rev, commit) in [
        ("HEAD", &second),
        ("main", &second),
        ("HEAD~1", &first),
        ("v1", &first),
        ("feature/x", &first),
        (first.short(), &first),
        (":/first", &first),
        ("-dash", &first),
        ("refs/heads/-dash", &first),
    ] {
        assert_eq!(&repository.resolve(rev).await.unwrap(), commit, "{rev}");
    }
    assert_eq!(repository.tree_of(&second).await.unwrap(), fixture.tree("HEAD"));
    assert_eq!(repository.branches().await.unwrap().into_keys().collect::<Vec<_>>(), ["-dash", "feature/x", "main"]);
    assert_eq!(repository.current_branch().await.unwrap().as_deref(), Some("main"));
}

#[tokio::test]
async fn a_revision_that_is_not_there_is_named() {
    let fixture = Fixture::with(&[("a", "1")]);
    fixture.git(&["branch", "feature"]);
    let repository = fixture.open().await;
    let said = async |rev: &str| repository.resolve(rev).await.unwrap_err().to_string();
    assert_eq!(said("featrue").await, "no such revision: `featrue`; did you mean `feature`?");
    assert_eq!(said("nothing-like-it").await, "no such revision: `nothing-like-it`");
    let absent = "0123456789012345678901234567890123456789";
    assert_eq!(said(absent).await, format!("no such revision: `{absent}`"));
    assert_eq!(said("HEAD^{tree}").await, "`HEAD^{tree}` is not a commit");
    for odd in ["", "--all", "--git-dir", "a\nb", "a\0b", "main..feature", "@{99}"] {
        assert!(matches!(repository.resolve(odd).await, Err(GitError::NoSuchRevision { .. })), "{odd:?}");
    }
}

#[tokio::test]
async fn what_is_no_usable_repository_is_said_in_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let scratch = dir.path().join("scratch");
    let said = async |path: &Path| Repository::open(path, &scratch).await.unwrap_err().to_string();
    let plain = dir.path().canonicalize().unwrap();
    assert_eq!(said(&plain).await, format!("{} is not a git repository", plain.display()));
    let absent = plain.join("absent");
    assert_eq!(said(&absent).await, format!("{} does not exist", absent.display()));
    let file = plain.join("file");
    std::fs::write(&file, "").unwrap();
    assert_eq!(said(&file).await, format!("{} is not a git repository", file.display()));
    let sha256 = plain.join("sha256");
    std::fs::create_dir(&sha256).unwrap();
    git_in(&sha256, &["init", "-q", "--object-format=sha256"]);
    assert!(said(&sha256).await.contains("only SHA-1"));
}

#[tokio::test]
async fn an_empty_repository_has_no_commits_yet() {
    let fixture = Fixture::new();
    let repository = fixture.open().await;
    assert!(matches!(repository.resolve("HEAD").await, Err(GitError::NoCommits(_))));
    assert!(matches!(repository.default_branch().await, Err(GitError::NoCommits(_))));
    let said = repository.resolve("main").await.unwrap_err().to_string();
    assert_eq!(said, "no such revision: `main`; the repository has no commits yet");
    assert_eq!(repository.branches_in_full().await.unwrap(), []);
}

#[tokio::test]
async fn a_repository_of_somebody_else_is_refused_with_the_way_out() {
    let fixture = Fixture::with(&[("a", "1")]);
    if !nix::unistd::geteuid().is_root() {
        eprintln!("only root can give a directory away");
        return;
    }
    for path in [fixture.path().to_owned(), fixture.path().join(".git")] {
        std::os::unix::fs::chown(path, Some(12345), None).unwrap();
    }
    let error = Repository::open(fixture.path(), &fixture.beside("scratch")).await.unwrap_err();
    assert!(matches!(error, GitError::DubiousOwnership(_)), "{error}");
    assert!(error.to_string().contains("git config --global --add safe.directory"));
}

#[tokio::test]
async fn a_merge_is_the_tree_that_would_land_and_leaves_no_trace() {
    let fixture = Fixture::with(&[("a", "1\n2\n3\n4\n5\n"), ("b", "b\n")]);
    fixture.git(&["switch", "-qc", "change"]);
    let head = fixture.commit("change", &[("a", "one\n2\n3\n4\n5\n")]);
    fixture.git(&["switch", "-q", "main"]);
    let base = fixture.commit("meanwhile", &[("a", "1\n2\n3\n4\nfive\n")]);
    // neither the user's configuration nor uncommitted work has a say
    fixture.git(&["config", "merge.default", "evil"]);
    fixture.git(&["config", "merge.evil.driver", "false"]);
    fixture.write("a", "uncommitted\n");
    fixture.write(".gitattributes", "* merge=evil\n");
    let before = listing(fixture.path());
    let repository = fixture.open().await;
    let merge = repository.merge(&base, &head).await.unwrap();
    let tree = merge.tree.unwrap();
    assert!(merge.conflicts.is_empty());
    assert_eq!(repository.read_file(&tree, "a").await.unwrap().unwrap(), b"one\n2\n3\n4\nfive\n");
    assert_eq!(repository.changed_paths(&fixture.tree("main"), &tree).await.unwrap(), [Path::new("a")]);
    assert_eq!(repository.merge_base(&base, &head).await.unwrap(), fixture.id("main~1"));
    assert_eq!(repository.diff_stat(&base, &head).await.unwrap(), DiffStat { additions: 1, deletions: 1, files: 1 });
    assert_eq!(listing(fixture.path()), before);
}

#[tokio::test]
async fn a_conflict_is_a_result() {
    let fixture = Fixture::with(&[("a", "1\n"), ("odd\n\"name", "1\n"), ("gone", "1\n"), ("fine", "1\n")]);
    fixture.git(&["switch", "-qc", "change"]);
    fixture.git(&["rm", "-q", "gone"]);
    let head = fixture.commit("change", &[("a", "2\n"), ("odd\n\"name", "2\n"), ("fine", "2\n")]);
    fixture.git(&["switch", "-q", "main"]);
    let base = fixture.commit("meanwhile", &[("a", "3\n"), ("odd\n\"name", "3\n"), ("gone", "3\n")]);
    let merge = fixture.open().await.merge(&base, &head).await.unwrap();
    assert_eq!(merge, MergeTree { tree: None, conflicts: vec!["a".into(), "gone".into(), "odd\n\"name".into()] });
}

#[tokio::test]
async fn the_base_decides_how_files_are_merged() {
    let version = git_in(Path::new("/"), &["version"]);
    let minor = version.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok()).unwrap();
    if version.starts_with("git version 2.") && minor < 43 {
        eprintln!("{version} has no attr.tree");
        return;
    }
    let fixture = Fixture::with(&[("log", "1\n"), (".gitattributes", "log merge=union\n")]);
    fixture.git(&["switch", "-qc", "change"]);
    let head = fixture.commit("change", &[("log", "1\n2\n")]);
    fixture.git(&["switch", "-q", "main"]);
    let base = fixture.commit("meanwhile", &[("log", "1\n3\n")]);
    let repository = fixture.open().await;
    let tree = repository.merge(&base, &head).await.unwrap().tree.unwrap();
    assert_eq!(repository.read_file(&tree, "log").await.unwrap().unwrap(), b"1\n3\n2\n");
}

#[tokio::test]
async fn unrelated_histories_have_no_merge() {
    let fixture = Fixture::with(&[("a", "1")]);
    fixture.git(&["switch", "-q", "--orphan", "other"]);
    let other = fixture.commit("other", &[("b", "nothing alike\n")]);
    let main = fixture.id("main");
    let repository = fixture.open().await;
    let said = repository.merge(&main, &other).await.unwrap_err().to_string();
    assert_eq!(said, format!("{} and {} have no common ancestor", main.short(), other.short()));
    assert!(matches!(repository.merge_base(&main, &other).await, Err(GitError::NoCommonAncestor { .. })));
    assert_eq!(repository.diff_stat(&main, &other).await.unwrap().files, 2);
}

#[tokio::test]
async fn a_shallow_clone_says_why_history_ends() {
    let fixture = Fixture::with(&[("a", "1")]);
    fixture.git(&["switch", "-qc", "change"]);
    fixture.commit("change", &[("a", "2")]);
    fixture.git(&["switch", "-q", "main"]);
    fixture.commit("meanwhile", &[("b", "2")]);
    let clone = fixture.beside("clone");
    let url = format!("file://{}", fixture.path().display());
    git_in(&fixture.beside(""), &["clone", "-q", "--depth=1", "--no-single-branch", &url, clone.to_str().unwrap()]);
    let repository = Repository::open(&clone, &fixture.beside("scratch")).await.unwrap();
    let base = repository.resolve("origin/main").await.unwrap();
    let head = repository.resolve("origin/change").await.unwrap();
    let said = repository.merge(&base, &head).await.unwrap_err().to_string();
    assert!(said.ends_with("this clone is shallow, `git fetch --unshallow` may find it"), "{said}");
    let said = repository.resolve("HEAD~1").await.unwrap_err().to_string();
    assert!(said.contains("shallow"), "{said}");
}

#[tokio::test]
async fn the_default_branch_is_found() {
    let fixture = Fixture::with(&[]);
    fixture.git(&["branch", "-m", "devel"]);
    let repository = fixture.open().await;
    assert_eq!(repository.default_branch().await.unwrap(), "devel");
    fixture.git(&["branch", "topic"]);
    let said = repository.default_branch().await.unwrap_err().to_string();
    assert!(said.ends_with("has no branch that is plainly its default; name the base"), "{said}");
    fixture.git(&["branch", "master"]);
    assert_eq!(repository.default_branch().await.unwrap(), "master");
    fixture.git(&["config", "init.defaultBranch", "devel"]);
    assert_eq!(repository.default_branch().await.unwrap(), "devel");
}

#[tokio::test]
async fn a_clone_that_fell_behind_is_compared_with_its_remote() {
    let origin = Fixture::with(&[]);
    let clone = origin.beside("clone");
    git_in(&origin.beside(""), &["clone", "-q", origin.path().to_str().unwrap(), clone.to_str().unwrap()]);
    let repository = Repository::open(&clone, &origin.beside("scratch")).await.unwrap();
    assert_eq!(repository.default_branch().await.unwrap(), "main");
    origin.commit("upstream moves", &[]);
    git_in(&clone, &["fetch", "-q"]);
    assert_eq!(repository.default_branch().await.unwrap(), "origin/main");
    assert_eq!(repository.default_local_branch().await.unwrap(), "main");
    git_in(&clone, &["commit", "-q", "--allow-empty", "-m", "and we move too"]);
    assert_eq!(repository.default_branch().await.unwrap(), "main");
}

#[tokio::test]
async fn bare_repositories_and_linked_worktrees_are_read_alike() {
    let fixture = Fixture::with(&[("a", "1")]);
    let linked = fixture.beside("linked");
    fixture.git(&["worktree", "add", "-q", "-b", "other", linked.to_str().unwrap()]);
    let other = git_in(&linked, &["commit-tree", "-m", "other", "HEAD^{tree}"]);
    git_in(&linked, &["reset", "-q", "--hard", &other]);
    let other: CommitId = other.parse().unwrap();
    let bare = fixture.beside("bare.git");
    git_in(&fixture.beside(""), &["clone", "-q", "--bare", fixture.path().to_str().unwrap(), bare.to_str().unwrap()]);
    let scratch = fixture.beside("scratch");
    let from_linked = Repository::open(&linked, &scratch).await.unwrap();
    assert_eq!(from_linked.resolve("HEAD").await.unwrap(), other);
    assert_eq!(from_linked.current_branch().await.unwrap().as_deref(), Some("other"));
    let from_bare = Repository::open(&bare, &scratch).await.unwrap();
    assert!(from_bare.is_bare());
    assert_eq!(from_bare.resolve("other").await.unwrap(), other);
    assert_eq!(from_bare.default_branch().await.unwrap(), "main");
    let inside = fixture.path().join("deep");
    std::fs::create_dir(&inside).unwrap();
    assert_eq!(Repository::open(&inside, &scratch).await.unwrap().resolve("HEAD").await.unwrap(), fixture.id("HEAD"));
    let commit = from_bare.commit(&other).await.unwrap();
    assert_eq!((commit.subject.as_str(), commit.author.as_str()), ("other", "Ines Ørsted"));
}

#[tokio::test]
async fn files_are_read_from_the_tree() {
    let fixture = Fixture::with(&[("dir/a", "text\n"), ("odd\n: name", "odd"), ("empty", "")]);
    std::os::unix::fs::symlink("dir/a", fixture.path().join("link")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", fixture.path().join("out")).unwrap();
    std::os::unix::fs::symlink("nothing", fixture.path().join("dangling")).unwrap();
    std::os::unix::fs::symlink("loop", fixture.path().join("loop")).unwrap();
    fixture.commit("links", &[]);
    let repository = fixture.open().await;
    let paths = [
        "dir/a",
        "missing\nby: far",
        "odd\n: name",
        "link",
        "out",
        "dangling",
        "loop",
        "dir",
        "dir/a/b",
        "empty",
        "../x",
        "./dir/a",
        "missing",
    ];
    let files = repository.read_files(&fixture.tree("HEAD"), &paths).await.unwrap();
    let found: Vec<(&str, &[u8])> = files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
    assert_eq!(
        found,
        [("./dir/a", &b"text\n"[..]), ("dir/a", b"text\n"), ("empty", b""), ("link", b"text\n"), ("odd\n: name", b"odd")]
    );
    // far more than a pipe holds, in both directions
    let many: Vec<String> = (0..5000).map(|n| format!("missing/{n:0>60}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).chain(["dir/a"]).collect();
    assert_eq!(repository.read_files(&fixture.tree("HEAD"), &many).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_file_that_is_too_large_is_refused() {
    let fixture = Fixture::with(&[("big", &"x".repeat((16 << 20) + 1))]);
    let error = fixture.open().await.read_file(&fixture.tree("HEAD"), "big").await.unwrap_err();
    assert_eq!(error.to_string(), "big is larger than 16777216 bytes");
}

#[tokio::test]
async fn tree_changes_are_entries_with_their_directories() {
    let fixture = Fixture::with(&[("a/b/one", "1"), ("a/b/two", "2"), ("becomes-dir", "x"), ("same", "1")]);
    let first = fixture.tree("HEAD");
    std::fs::remove_file(fixture.path().join("becomes-dir")).unwrap();
    std::fs::remove_file(fixture.path().join("a/b/two")).unwrap();
    fixture.commit("second", &[("a/b/one", "one"), ("becomes-dir/x", "2")]);
    let second = fixture.tree("HEAD");
    let repository = fixture.open().await;
    let seen = async |from, to| {
        let changes = repository.tree_changes(from, to).await.unwrap();
        let kind = |entry: Option<RawEntry>| entry.map(|entry| entry.kind);
        let seen = changes.into_iter().map(|c| (String::from_utf8(c.path).unwrap(), kind(c.old), kind(c.new)));
        seen.collect::<Vec<_>>()
    };
    use EntryKind::{Directory, File};
    let expected: Vec<(String, Option<EntryKind>, Option<EntryKind>)> = vec![
        ("a".into(), Some(Directory), Some(Directory)),
        ("a/b".into(), Some(Directory), Some(Directory)),
        ("a/b/one".into(), Some(File), Some(File)),
        ("a/b/two".into(), Some(File), None),
        ("becomes-dir".into(), Some(File), Some(Directory)),
        ("becomes-dir/x".into(), None, Some(File)),
    ];
    assert_eq!(seen(&first, &second).await, expected);
    let back: Vec<_> = expected.into_iter().map(|(path, old, new)| (path, new, old)).collect();
    assert_eq!(seen(&second, &first).await, back);
    assert_eq!(seen(&first, &first).await, []);
    let absent = "0123456789012345678901234567890123456789".parse().unwrap();
    assert!(repository.tree_changes(&first, &absent).await.is_err());
}

#[tokio::test]
async fn changed_paths_know_bits_and_renames() {
    let fixture = Fixture::with(&[("run", "x"), ("old", "y"), ("odd\nname", "z"), ("same", "s")]);
    let before = fixture.tree("HEAD");
    fixture.git(&["mv", "old", "new"]);
    fixture.git(&["update-index", "--chmod=+x", "run"]);
    fixture.git(&["config", "core.fileMode", "false"]);
    fixture.commit("change", &[("odd\nname", "zz")]);
    let changed = fixture.open().await.changed_paths(&before, &fixture.tree("HEAD")).await.unwrap();
    assert_eq!(changed, ["new", "odd\nname", "old", "run"].map(Path::new));
}
