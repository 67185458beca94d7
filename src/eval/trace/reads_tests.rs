use super::*;

/// A tree of names that say what they are.
struct Named;

impl Files for Named {
    fn kind(&mut self, path: &str) -> Kind {
        match path {
            "link" | "a/link" => Kind::Link,
            "directory" => Kind::Directory,
            _ => Kind::Other,
        }
    }

    fn may_tell_time(&mut self, seen: &str) -> bool {
        seen.ends_with("time.nix")
    }
}

fn reads() -> Reads {
    reads_within(Bounds::default())
}

fn reads_within(bounds: Bounds) -> Reads {
    let surroundings = Surroundings {
        tree: "/snowgate/source".into(),
        marks: "/snowgate/marks".into(),
        nonce: "N".into(),
        driver: "/snowgate/driver.nix".into(),
        constant: vec!["/usr".into(), "/tmp".into(), "/nix/store/x-source".into()],
        instrumented: HashMap::from([("all.nix".into(), "7".into())]),
        bounds,
    };
    let mut reads = Reads::new(surroundings, Box::new(Named));
    assert_eq!(play(&mut reads, "c /etc/terminfo ! socket c /snowgate/driver.nix"), []);
    reads
}

fn see(reads: &mut Reads, kind: &str, path: &[u8]) -> Option<Event> {
    let access = match kind.to_ascii_lowercase().as_str() {
        "c" => Access::Content,
        "d" => Access::Directory,
        "s" => Access::Stat,
        "l" => Access::Link,
        _ => return reads.take(&Frame::Unknown(format!("{kind} {}", String::from_utf8_lossy(path)))),
    };
    reads.take(&Frame::Seen { access, follows: kind.chars().all(|c| c.is_ascii_uppercase()), path: path.to_owned() })
}

/// `c a/b`: the content of a file of the tree; `m t.1`: a mark; other paths are absolute.
fn play(reads: &mut Reads, script: &str) -> Vec<Event> {
    script
        .split_whitespace()
        .collect::<Vec<_>>()
        .chunks(2)
        .filter_map(|access| {
            let (kind, path) = (access[0], access[1]);
            let (kind, path) = match kind {
                "m" => ("s", format!("/snowgate/marks/N.{path}")),
                "f" => ("s", format!("/snowgate/marks/{path}")),
                _ if path.starts_with('/') => (kind, path.to_owned()),
                _ => (kind, format!("/snowgate/source/{path}")),
            };
            see(reads, kind, path.as_bytes())
        })
        .collect()
}

/// All that a node and those above it read, in order of the names.
fn all(reads: &Reads, node: usize) -> Vec<String> {
    let mut all: Vec<Key> = Vec::new();
    let mut at = Some(node);
    while let Some(node) = at {
        all.extend(reads.nodes()[node].own.iter().map(|key| reads.key(*key).clone()));
        at = reads.nodes()[node].parent;
    }
    all.sort();
    all.iter()
        .map(|key| match key {
            Key::Stat(path) => format!("s {path}"),
            Key::Content(path) => format!("c {path}"),
            Key::Listing(path) => format!("d {path}"),
            Key::Link(path) => format!("l {path}"),
            Key::Skeleton(path) => format!("k {path}"),
            Key::Binding(path, binding) => format!("b {path} {binding}"),
        })
        .collect()
}

fn node(events: &[Event], item: usize) -> Option<usize> {
    let found: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Item(i, node) if *i == item => Some(*node),
            _ => None,
        })
        .collect();
    assert_eq!(found.len(), 1, "item {item} is finished once: {events:?}");
    found[0]
}

#[test]
fn reads_go_to_the_item_that_is_finished_next() {
    let mut reads = reads();
    let events = play(&mut reads, "c x m t.0 c x s y m t.1 c x m t.2");
    let (first, second) = (node(&events, 0).unwrap(), node(&events, 1).unwrap());
    assert_eq!(all(&reads, first), ["s x", "c x"]);
    assert_eq!(all(&reads, second), ["s x", "s y", "c x"]);
    assert_eq!(reads.nodes()[second].parent, Some(first));
    assert_eq!(node(&events, 2), Some(second), "an item that reads nothing new is of the same node");
}

#[test]
fn an_item_without_reads_has_a_node_too() {
    let mut reads = reads();
    let events = play(&mut reads, "m t.0 c x m t.1");
    assert_eq!(all(&reads, node(&events, 0).unwrap()), Vec::<String>::new());
    assert_eq!(all(&reads, node(&events, 1).unwrap()), ["s x", "c x"]);
}

#[test]
fn every_directory_above_is_looked_at() {
    let mut reads = reads();
    let events = play(&mut reads, "c a/b/c d a/d s e/absent l f m t.0");
    assert_eq!(
        all(&reads, node(&events, 0).unwrap()),
        ["s a", "s a/b", "s a/b/c", "s a/d", "s e", "s e/absent", "s f", "c a/b/c", "d a/d", "l f"]
    );
}

#[test]
fn the_tree_itself_can_be_listed() {
    let mut reads = reads();
    assert_eq!(see(&mut reads, "d", b"/snowgate/source"), None);
    let events = play(&mut reads, "m t.0");
    assert_eq!(all(&reads, node(&events, 0).unwrap()), ["d "]);
}

#[test]
fn a_directory_that_is_open_can_be_listed() {
    let mut reads = reads();
    let events = play(&mut reads, "c directory m t.0");
    assert_eq!(all(&reads, node(&events, 0).unwrap()), ["s directory", "d directory"]);
}

#[test]
fn what_a_forked_process_read_ends_with_it() {
    let mut reads = reads();
    let events = play(
        &mut reads,
        "c base m t.0 m fork.1 c x m t.1 m fork.2 c y m t.2 m exit m back.2 c z m t.3 m exit m back.1 m fork.3 c y m t.4 m exit m back.3 c w m t.5",
    );
    let all = |item| all(&reads, node(&events, item).unwrap());
    assert_eq!(all(0), ["s base", "c base"]);
    assert_eq!(all(1), ["s base", "s x", "c base", "c x"]);
    assert_eq!(all(2), ["s base", "s x", "s y", "c base", "c x", "c y"]);
    assert_eq!(all(3), ["s base", "s x", "s z", "c base", "c x", "c z"]);
    assert_eq!(all(4), ["s base", "s y", "c base", "c y"]);
    assert_eq!(all(5), ["s base", "s w", "c base", "c w"]);
    let ended: Vec<_> = events.iter().filter(|event| matches!(event, Event::Ended(_))).collect();
    assert_eq!(ended, [&Event::Ended(2), &Event::Ended(1), &Event::Ended(3)]);
}

#[test]
fn what_was_read_before_a_fork_belongs_to_parent_and_child() {
    let mut reads = reads();
    let events = play(&mut reads, "c base m fork.1 m t.0 m exit m t.1");
    assert_eq!(all(&reads, node(&events, 0).unwrap()), ["s base", "c base"]);
    assert_eq!(node(&events, 0), node(&events, 1));
}

#[test]
fn what_a_child_read_for_no_item_is_forgotten() {
    let mut reads = reads();
    let events = play(&mut reads, "m t.0 m fork.1 c x m exit m back.1 m t.1");
    assert_eq!(all(&reads, node(&events, 1).unwrap()), Vec::<String>::new());
    let events = play(&mut reads, "c x m t.2");
    assert_eq!(all(&reads, node(&events, 2).unwrap()), ["s x", "c x"], "what is read again is known again");
}

#[test]
fn a_child_that_died_costs_what_was_open() {
    for end in ["m died.1.11 m back.1", "m back.1"] {
        let mut reads = reads();
        let events = play(&mut reads, &format!("c base m t.0 m fork.1 c x m t.1 c y {end} c z m t.2"));
        assert!(events.contains(&Event::Ended(1)));
        assert_eq!(all(&reads, node(&events, 1).unwrap()), ["s base", "s x", "c base", "c x"]);
        assert_eq!(all(&reads, node(&events, 2).unwrap()), ["s base", "s z", "c base", "c z"]);
    }
}

#[test]
fn a_mark_that_makes_no_sense_ends_all_trust() {
    for nonsense in
        ["m exit", "m died.3.9", "m t.x", "m fork.", "m what", "m fork.1 m fork.2 m died.1.9", "m fork.1 m fork.2 m back.1"]
    {
        let mut reads = reads();
        let events = play(&mut reads, &format!("m t.0 {nonsense} m t.1"));
        assert!(node(&events, 0).is_some());
        assert_eq!(node(&events, 1), None, "{nonsense}");
    }
}

#[test]
fn an_unknown_read_makes_this_process_and_those_below_unknown() {
    for unknown in [
        "c /etc/passwd",
        "s /home/x",
        "c /nix/store/other",
        "c time.nix",
        "c a/time.nix",
        "c /nix/store/x-source/time.nix",
        "d /snowgate",
        "d /",
        "! a-call-that-nobody-knows",
        "c link/x",
        "c a/link/x",
        "S link",
        "C a/link",
        "c a//b",
        "c a/../b",
        "s .git/HEAD",
        "c /usr/../etc/passwd",
        "c /snowgate/sourcery",
    ] {
        let mut reads = reads();
        let events = play(&mut reads, &format!("m t.0 m fork.1 {unknown} m t.1 m fork.2 m t.2 m exit m t.3 m exit m t.4"));
        let known: Vec<bool> = (0..5).map(|item| node(&events, item).is_some()).collect();
        assert_eq!(known, [true, false, false, false, true], "{unknown}");
        assert_eq!(reads.unknown().len(), 1);
    }
    let mut reads = reads();
    assert_eq!(see(&mut reads, "c", b"/snowgate/source/\xff"), None);
    assert_eq!(play(&mut reads, "m t.0"), [Event::Item(0, None)]);
}

#[test]
fn constant_places_are_no_reads() {
    let mut reads = reads();
    let script = "c /usr/lib/libc.so s /nix/store/x-source/a d /nix/store/x-source s / s /snowgate s /snowgate/marks s /nix s /nix/store f other s link l link s a/link m t.0";
    let events = play(&mut reads, script);
    assert_eq!(all(&reads, node(&events, 0).unwrap()), ["s a", "s a/link", "s link", "l link"]);
}

#[test]
fn an_import_of_an_instrumented_file_reads_its_skeleton() {
    let mut reads = reads();
    let events = play(&mut reads, "c all.nix s /snowgate f i.7 f b.7.x m t.0 m fork.1 f b.7.y.z m t.1 m exit");
    assert_eq!(all(&reads, node(&events, 0).unwrap()), ["s all.nix", "k all.nix", "b all.nix x"]);
    assert_eq!(all(&reads, node(&events, 1).unwrap()), ["s all.nix", "k all.nix", "b all.nix x", "b all.nix y.z"]);
}

#[test]
fn any_other_open_of_an_instrumented_file_reads_all_of_it() {
    for script in [
        "c all.nix m t.0",
        "c all.nix s x f i.7 m t.0",
        "c all.nix c all.nix f i.7 m t.0",
        "c all.nix f i.8 m t.0",
        "c all.nix f b.7.x m t.0",
    ] {
        let mut reads = reads();
        let events = play(&mut reads, script);
        assert!(all(&reads, node(&events, 0).unwrap()).contains(&"c all.nix".to_owned()), "{script}");
    }
    let mut reads = reads();
    let events = play(&mut reads, "c all.nix m fork.1 m t.0 m exit m t.1");
    assert_eq!(all(&reads, node(&events, 0).unwrap()), ["s all.nix", "c all.nix"]);
    assert_eq!(node(&events, 0), node(&events, 1));
}

#[test]
fn what_is_only_looked_at_tells_no_time() {
    let mut reads = reads();
    let events = play(&mut reads, "s time.nix s /nix/store/x-source/time.nix m t.0");
    assert_eq!(all(&reads, node(&events, 0).unwrap()), ["s time.nix"]);
}

#[test]
fn whoever_comes_near_a_cache_has_read_what_it_was_filled_from() {
    let mut reads = reads();
    let events = play(
        &mut reads,
        "c base m t.0 m fork.1 c x c /tmp/cache/db m t.1 m exit m fork.2 c y m t.2 s /tmp/cache/db m t.3 m exit m fork.3 c z m t.4 m exit m t.5",
    );
    let all = |item| all(&reads, node(&events, item).unwrap());
    assert_eq!(all(1), ["s base", "s x", "c base", "c x"]);
    assert_eq!(all(2), ["s base", "s y", "c base", "c y"]);
    assert_eq!(all(3), ["s base", "s x", "s y", "c base", "c x", "c y"]);
    assert_eq!(all(4), ["s base", "s z", "c base", "c z"], "it came near none");
    assert_eq!(all(5), ["s base", "c base"]);
}

#[test]
fn a_process_that_has_a_cache_open_shares_it_with_those_forked_from_it() {
    let mut reads = reads();
    let events = play(&mut reads, "c /tmp/cache/db m t.0 m fork.1 c x m t.1 m exit m t.2 m fork.2 c y m t.3 m exit m t.4");
    let all = |item| all(&reads, node(&events, item).unwrap());
    assert_eq!(all(1), ["s x", "c x"]);
    assert_eq!(all(2), ["s x", "c x"], "it may look up what the forked one found");
    assert_eq!(all(3), ["s x", "s y", "c x", "c y"]);
    assert_eq!(all(4), ["s x", "s y", "c x", "c y"]);
}

#[test]
fn what_went_from_a_forker_s_reads_into_a_cache_is_read_from_there() {
    let mut reads = reads();
    let script = "m t.0 m fork.1 c x m fork.2 c /tmp/cache/db m t.1 m exit m exit m fork.3 c /tmp/cache/db m t.2 m exit";
    let events = play(&mut reads, script);
    assert_eq!(all(&reads, node(&events, 2).unwrap()), ["s x", "c x"]);
}

#[test]
fn a_cache_that_was_filled_from_something_unknown_is_unknown() {
    for end in ["m exit m back.1", "m died.1.9 m back.1", "m back.1"] {
        let mut reads = reads();
        let script = format!(
            "m t.0 m fork.1 c /etc/passwd c /tmp/cache/db m t.1 {end} m t.2 m fork.2 m t.3 c /tmp/cache/db m t.4 m exit m t.5 s /tmp/x m t.6"
        );
        let events = play(&mut reads, &script);
        let known: Vec<bool> = (0..7).map(|item| events.contains(&Event::Item(item, None))).map(|unknown| !unknown).collect();
        assert_eq!(known, [true, false, true, true, false, true, false], "{end}");
    }
    // what was open before the fork
    let mut reads = reads();
    let events = play(&mut reads, "c /tmp/cache/db m t.0 m fork.1 ! what m exit m t.1 m fork.2 m t.2 m exit");
    assert_eq!((node(&events, 0).is_some(), node(&events, 1), node(&events, 2)), (true, None, None));
}

#[test]
fn what_is_more_than_is_kept_is_not_known() {
    let keys = Bounds { keys: 6, ..Bounds::default() };
    let bytes = Bounds { bytes: 6, ..Bounds::default() };
    let kept = Bounds { reads: 6, ..Bounds::default() };
    for bounds in [keys, bytes, kept] {
        let mut reads = reads_within(bounds);
        let script: String = (0..1000).map(|n| format!("c many{n} ")).collect();
        let events = play(&mut reads, &format!("c x m t.0 m fork.1 {script} m t.1 m fork.2 m t.2 m exit m exit m t.3"));
        let known: Vec<bool> = (0..4).map(|item| node(&events, item).is_some()).collect();
        assert_eq!(known, [true, false, false, true], "{bounds:?}");
        assert!(reads.keys.len() <= 7 && reads.kept <= 6, "{} {}", reads.keys.len(), reads.kept);
        assert_eq!(reads.unknown(), ["more was read than is kept"]);
    }
}
