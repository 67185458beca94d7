//! What is tracked, and what a change of a file is taken for.

use proptest::prelude::*;

use super::*;

/// Enough bindings for a set to be worth it.
fn many() -> String {
    (0..24).map(|n| format!("filler{n} = {n};\n")).collect()
}

/// The tracked values, as they are written, but for the fillers.
fn tracked(text: &str) -> Vec<String> {
    let found = text::with_parsed(text.as_bytes(), |text, root| {
        let bodies = bodies::find(root).unwrap_or_default();
        Some(bodies.into_iter().map(|body| text[body].to_owned()).collect::<Vec<_>>())
    });
    found.unwrap_or_default().into_iter().filter(|value| value.parse::<u32>().is_err()).collect()
}

fn in_set(bindings: &str) -> String {
    format!("{{\n{}{bindings}}}\n", many())
}

#[test]
fn values_of_plain_names_are_tracked() {
    for value in [
        "f ./x { }",
        "\"text\"",
        "x: y",
        "{ a, b ? 1 }: a",
        "{ a = 1; }",
        "[ ]",
        "(x)",
        "a.b",
        "assert a; b",
        "true",
        "if a then b else c",
    ] {
        // a variable of a `with` may be marked
        let with = if value == "(x)" { "with y; " } else { "" };
        assert_eq!(tracked(&format!("{with}{}", in_set(&format!("name = {value};")))), [value]);
        assert_eq!(tracked(&format!("{with}{}", in_set(&format!("\"odd name\" = /* why */ {value}\n;")))), [value]);
    }
    assert_eq!(tracked(&format!("let {} a = f 1; in a", many())), ["f 1"]);
    assert_eq!(tracked(&format!("{{ lib }}: self: rec {{ {} a = f 1; }}", many())), ["f 1"]);
    assert_eq!(tracked("{ a = f 1; }"), [""; 0], "a set of few bindings is not worth it");
    let nested = format!("{{ {} deep = g {{ {} a = f 1; }}; }}", many(), many());
    assert_eq!(tracked(&nested).len(), 2);
}

#[test]
fn what_a_marker_would_change_is_left_alone() {
    for bindings in [
        // merged with what follows or precedes
        "a = { b = 1; }; a.c = 2;",
        "a.b = f 1;",
        "\"a\" = { b = 1; }; a.c = 2;",
        "${\"a\"} = { b = 1; }; a.c = 2;",
        // known only when evaluated
        "${a} = f 1;",
        "\"a${b}\" = f 1;",
        "inherit a; inherit (b) c;",
        // taken as it is
        "a = (x);",
        "a = map;",
        "a = __add;",
    ] {
        assert_eq!(tracked(&in_set(bindings)), [""; 0], "{bindings}");
    }
    for text in [
        in_set("a = f __curPos;"),
        in_set("a = f __pathExists;"),
        in_set("a = let { body = 1; };"),
        format!("let __pathExists = x: true; in {}", in_set("a = f 1;")),
        format!("{{ \"__pathExists\" = x: true; }} // {}", in_set("a = f 1;")),
        format!("rec {{ {} __overrides = {{ }}; a = f 1; }}", many()),
        in_set("a = f 1;").replace('\n', "\r\n"),
        format!("# \0\n{}", in_set("a = f 1;")),
        format!("{}\u{a0}", in_set("a = f 1;")),
        in_set("a = ;"),
        String::new(),
    ] {
        assert_eq!(split(text.as_bytes()), None, "{text}");
        assert_eq!(instrument(text.as_bytes(), "/m"), None, "{text}");
    }
    assert_eq!(split(b"\xff"), None);
}

#[test]
fn variables_are_tracked_where_they_come_from_a_with() {
    let value = |around: &str, value: &str| tracked(&format!("{around} {}", in_set(&format!("a = {value};"))));
    assert_eq!(value("with x;", "b"), ["b"]);
    assert_eq!(value("b: with x;", "b"), [""; 0]);
    assert_eq!(value("{ b, ... }: with x;", "b"), [""; 0]);
    assert_eq!(value("args@{ c }: with x;", "args"), [""; 0]);
    assert_eq!(value("let b = 1; in with x;", "b"), [""; 0]);
    assert_eq!(value("let inherit (y) b; in with x;", "b"), [""; 0]);
    assert_eq!(value("with x; rec", "filler1"), [""; 0]);
    assert_eq!(value("with x;", "filler1"), ["filler1"]);
    assert_eq!(value("with x;", "map"), [""; 0]);
    assert_eq!(value("true:", "true"), [""; 0]);
    // a name that was bound beside, not around
    assert_eq!(value("with (let b = 1; in x);", "b"), ["b"]);
}

#[test]
fn sets_that_nix_makes_one_are_left_alone_to_the_last() {
    let big = |bindings: &str| format!("{{ {} {bindings} }}", many());
    let twice = format!("{{ x = {}; x.b = 1; }}", big("a = f 1;"));
    assert_eq!(tracked(&twice), [""; 0]);
    let deep = format!("{{ x = {{ y = ({}); }}; x.y.b = 1; }}", big("a = f 1;"));
    assert_eq!(tracked(&deep), [""; 0]);
    // `rec` or a call between them: no longer a set that Nix merges, or refused by Nix itself
    let called = format!("{{ x = g {}; y.b = 1; }}", big("a = f 1;"));
    assert_eq!(tracked(&called), ["f 1"]);
    let once = format!("{{ x.y = {}; }}", big("a = f 1;"));
    assert_eq!(tracked(&once), ["f 1"]);
}

#[test]
fn nothing_moves_to_another_line() {
    let text = format!("# head\n{{ lib }}:\n{{\n  a = # why\n    f 1; b = x:(1);\n{}}}\n", many());
    let instrumented = instrument(text.as_bytes(), "/m").unwrap();
    assert_eq!(instrumented.bindings(), 26);
    let marked = instrumented.text("7", "/m");
    let lines: Vec<&str> = marked.lines().collect();
    assert_eq!(lines[..4], ["# head", " assert __pathExists \"/m/i.7\" || true; { lib }:", "{", "  a = # why"]);
    assert_eq!(
        lines[4],
        "     assert __pathExists \"/m/b.7.0\" || true; f 1; b =  assert __pathExists \"/m/b.7.1\" || true; x:(1);"
    );
    assert_eq!(marked.lines().count(), text.lines().count());
}

#[test]
fn hostile_text_is_refused_in_time() {
    let deep = |open: &str, close: &str| in_set(&format!("a = {}1{};", open.repeat(50_000), close.repeat(50_000)));
    let started = std::time::Instant::now();
    for text in [
        deep("(", ")"),
        deep("[", "]"),
        deep("{ a = ", "; }"),
        deep("!", ""),
        deep("- ", ""),
        deep("x: ", ""),
        deep("{ }: ", ""),
        deep("with 1; ", ""),
        deep("assert 1; ", ""),
        deep("let a = 1; in ", ""),
        deep("if 1 then 1 else ", ""),
        deep("1 ++ ", ""),
        deep("a ", ""),
        deep("\"${", "}\""),
        in_set(&format!("a = {};", "-".repeat(300_000))),
        in_set(&format!("a = {};", "<".repeat(300_000))),
        in_set(&format!("a = {};", "a/".repeat(300_000))),
        in_set(&format!("a = b{};", ".a".repeat(300_000))),
        "{".repeat(300_000),
        "}".repeat(300_000),
        "let ".repeat(200_000),
        "\"".repeat(299_999),
    ] {
        assert_eq!(split(text.as_bytes()), None, "{}", &text[..40]);
    }
    // and what is refused only just is parsed
    for (open, close, levels) in [
        ("(", ")", 500),
        ("{ a = ", "; }", 500),
        ("x: ", "", 500),
        ("let a = 1; in ", "", 500),
        ("a ", "", 9_900),
        ("\"${", "}\"", 500),
    ] {
        let text = in_set(&format!("a = {}1{};", open.repeat(levels), close.repeat(levels)));
        assert!(split(text.as_bytes()).is_some(), "{open}");
    }
    let wide: String = (0..20_000).map(|n| format!("a{n} = {{ b = true; c = with x; y; }};\n")).collect();
    assert_eq!(split(format!("with x; rec {{ {wide} }}").as_bytes()).unwrap().bodies.len(), 20_000);
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}

/// A binding of a file that is made and edited.
#[derive(Debug, Clone, PartialEq)]
struct Binding {
    name: String,
    value: String,
}

/// Values whose meaning differs.
const VALUES: [&str; 12] = [
    "f ./x.nix { }",
    "f ./x.nix { a = 1; }",
    "\"a b\"",
    "\"a  b\"",
    "''\n    a\n  ''",
    "''\n     a\n  ''",
    "x: x",
    "{ a, b ? 1 }: [ a b ]",
    "let a = \"${b \"c\"}\"; in /* # */ a",
    "if a then b.c else - 1",
    "a: with a; { b = c; inherit d; }",
    "''a # b''",
];

fn file() -> impl Strategy<Value = Vec<Binding>> {
    prop::collection::vec(prop::sample::select(&VALUES[..]), 30..40).prop_map(|values| {
        let named = values.into_iter().enumerate();
        named.map(|(n, value)| Binding { name: format!("name{n}"), value: value.to_owned() }).collect()
    })
}

/// With other spacing and other comments each time.
fn written(bindings: &[Binding], mut dice: u64) -> String {
    let mut space = || {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        [" ", "\n", "  \t ", " # a; comment = \"\n", " /* { */ ", "\n\n", " /** doc\n*/ ", " "][(dice >> 60) as usize % 8]
    };
    let mut text = format!("{{ lib }}:{}rec{}{{", space(), space());
    for Binding { name, value } in bindings {
        text += &format!("{}{name}{}={}{}{};", space(), space(), space(), value, space());
    }
    text + space() + "}" + "\n"
}

fn parts(bindings: &[Binding], dice: u64) -> Split {
    let text = written(bindings, dice);
    split(text.as_bytes()).unwrap_or_else(|| panic!("not split: {text}\n{:?}", Root::parse(&text).errors()))
}

proptest! {
    #[test]
    fn spacing_and_comments_change_nothing(file in file(), dice: u64, other: u64) {
        prop_assert_eq!(parts(&file, dice), parts(&file, other));
    }

    #[test]
    fn another_value_changes_that_binding_alone(file in file(), at: prop::sample::Index, value: prop::sample::Index, dice: u64, other: u64) {
        let (at, value) = (at.index(file.len()), value.get(&VALUES));
        let mut edited = file.clone();
        edited[at].value = (*value).to_owned();
        let (before, after) = (parts(&file, dice), parts(&edited, other));
        prop_assert_eq!(&before.skeleton, &after.skeleton);
        for (n, (was, is)) in before.bodies.iter().zip(&after.bodies).enumerate() {
            prop_assert_eq!(was == is, n != at || file == edited);
        }
    }

    #[test]
    fn other_names_change_the_skeleton(file in file(), at: prop::sample::Index, how in 0..4, dice: u64) {
        let at = at.index(file.len());
        let mut edited = file.clone();
        match how {
            0 => drop(edited.remove(at)),
            1 => edited.insert(at, Binding { name: "new".into(), value: "1".into() }),
            2 => edited[at].name = "renamed".into(),
            // a path is no name of its own
            _ => edited[at].name += ".deeper",
        }
        prop_assert_ne!(parts(&file, dice).skeleton, parts(&edited, dice).skeleton);
    }
}

/// Where a nested set is tracked, a change in it is not one of the value around it.
#[test]
fn a_nested_value_is_its_own() {
    let text = |value: &str, beside: &str| format!("{{ {} outer = f {{ {} inner = {value}; }} {beside}; }}", many(), many());
    let parts = |value, beside| split(text(value, beside).as_bytes()).unwrap();
    let changed = |a: &Split, b: &Split| {
        assert_eq!(a.skeleton, b.skeleton);
        (0..a.bodies.len()).filter(|n| a.bodies[*n] != b.bodies[*n]).collect::<Vec<_>>()
    };
    assert_eq!(parts("1", "2").bodies.len(), 24 + 1 + 24 + 1);
    assert_eq!(changed(&parts("f 1", "2"), &parts("f 2", "2")), [49]);
    assert_eq!(changed(&parts("f 1", "2"), &parts("f 1", "3")), [24]);
}

/// Two tokens that become one, or one that becomes two, are no change of spacing.
#[test]
fn tokens_that_touch_are_not_tokens_apart() {
    for (a, b) in [
        ("a -b", "a - b"),
        ("a -b", "a-b"),
        ("x: y", "x:y"),
        ("[ 1 2 ]", "[ 12 ]"),
        ("a/b", "a / b"),
        ("./a b", "./ab"),
        ("< x >", "<x>"),
    ] {
        let of = |value: &str| split(in_set(&format!("a = {value};")).as_bytes());
        assert_ne!(of(a), of(b), "{a}");
    }
    let of = |value: &str| split(in_set(&format!("a = {value};")).as_bytes()).unwrap();
    assert_eq!(of("[a (b)]"), of("[ a ( b ) ]"));
    assert_eq!(of("{ a = 1;b = 2; }"), of("{a = 1; b = 2;}"));
}
