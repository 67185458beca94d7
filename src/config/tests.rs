use std::collections::BTreeMap;
use std::path::PathBuf;

use proptest::prelude::*;

use super::repository::{BaseBuilds, JobsetSource, Policy};
use super::server::{Build, Eval, Limits, Log, Repository};
use super::slots::Big;
use super::worker::Worker;
use super::*;
use crate::domain::AttrPath;
use crate::domain::Level;

fn server_fault(text: &str) -> String {
    Settings::parse(text).unwrap_err().to_string()
}

fn repository_fault(text: &str) -> String {
    repository::parse(text).unwrap_err().to_string()
}

#[test]
fn an_empty_file_is_the_defaults() {
    assert_eq!(Settings::parse("").unwrap(), Settings::default());
    assert_eq!(repository::parse("").unwrap(), repository::RepositoryConfig::default());
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_known_one() {
    for (text, fault) in [
        ("\nlistne = \"[::1]:80\"", "line 2: unknown key `listne`; did you mean `listen`?"),
        ("[eval]\nworkers = 2\nmemory-mb = 1", "line 3: unknown key `eval.memory-mb`; did you mean `memory_mb`?"),
        ("[biuld]\njobs = 1", "line 1: unknown key `biuld`; did you mean `build`?"),
        ("jobs = 4", "line 1: unknown key `jobs`; did you mean `build.jobs`?"),
        ("build.max_sillent = 4", "line 1: unknown key `build.max_sillent`; did you mean `max_silent`?"),
        (
            "[[repository]]\nname = \"a/b\"\npath = \"/x\"\nbranch = \"main\"",
            "line 4: unknown key `repository.branch`; did you mean `base_branch`?",
        ),
        ("[log]\nzzz = 1", "line 2: unknown key `log.zzz`; the nearest known one is `filter`, of filter"),
        // the first in the file, not in the alphabet
        ("[log]\nfiltre = 1\n[eval]\nworker = 1", "line 2: unknown key `log.filtre`; did you mean `filter`?"),
    ] {
        assert_eq!(server_fault(text), fault);
    }
    for (text, fault) in [
        ("[jobsets.default]\nfiel = \"a.nix\"", "line 2: unknown key `jobsets.default.fiel`; did you mean `file`?"),
        (
            "[jobsets.a]\nfile = \"a.nix\"\n[jobsets.a.variants.b]\nforceRecurse = true",
            "line 4: unknown key `jobsets.a.variants.b.forceRecurse`; did you mean `force_recurse`?",
        ),
        ("[policy]\nnewly_faling = \"warn\"", "line 2: unknown key `policy.newly_faling`; did you mean `newly_failing`?"),
        ("newly_failing = \"warn\"", "line 1: unknown key `newly_failing`; did you mean `policy.newly_failing`?"),
        ("file = \"a.nix\"", "line 1: unknown key `file`; did you mean `jobsets.NAME.file`?"),
    ] {
        assert_eq!(repository_fault(text), fault);
    }
}

#[test]
fn a_wrong_value_is_named_with_its_key_and_line() {
    for (text, fault) in [
        ("[build]\njobs = \"two\"", "line 2: `build.jobs`: invalid type: string \"two\", expected u32"),
        ("[eval]\n\nworkers = -1", "line 3: `eval.workers`: invalid value: integer `-1`, expected u32"),
        ("listen = \"here\"", "line 1: `listen`: invalid socket address syntax"),
        ("eval = 3", "line 1: `eval`: invalid type: integer `3`, expected struct Eval"),
        ("[eval]\ntraces_max_mb = 0", "line 2: `eval.traces_max_mb` must be at least 1"),
        ("[eval]\ntraces_max_days = 0", "line 2: `eval.traces_max_days` must be at least 1"),
        ("[build]\njobs = 0", "line 2: `build.jobs` must be at least 1"),
        ("[github]\npoll_seconds = 0", "line 2: `github.poll_seconds` must be at least 1"),
        ("[github]\napi_url = \"ghe/api/v3\"", "line 2: `github.api_url` must begin with http:// or https://"),
        ("[github]\napp_id = 1\nprivate_key_file = \"key.pem\"", "line 3: `github.private_key_file` must be an absolute path"),
        (
            "[github.policy]\ntrust = \"writer\"",
            "line 2: `github.policy.trust`: unknown variant `writer`, expected one of `nobody`, `writers`, `members`, `everyone`",
        ),
        ("[sign_in]\nsession_days = 0", "line 2: `sign_in.session_days` must be at least 1"),
        ("[sign_in]\nkey_file = \"key\"", "line 2: `sign_in.key_file` must be an absolute path"),
        ("[sign_in]\nadministrators = [\"ann\"]", "line 2: `sign_in.administrators`: invalid type: string \"ann\", expected u64"),
        ("public_url = \"gate.example.org\"", "line 1: `public_url` must begin with http:// or https://"),
        ("state_dir = \"state\"", "line 1: `state_dir` must be an absolute path"),
        ("[[repository]]\nname = \"a/b\"", "line 1: `repository`: missing field `path`"),
        (
            "[[repository]]\nname = \"a/b\"\npath = \"/x\"\n\n[[repository]]\nname = \"b\"\npath = \"/y\"",
            "line 5: the repository's name `b` must be `owner/name`, of letters, digits, `-`, `_` and `.`",
        ),
        ("[[repository]]\nname = \"a/b\"\npath = \"x\"", "line 1: the path of `a/b` must be absolute"),
        ("listen = \n", "line 1: string values must be quoted, expected literal string"),
    ] {
        assert_eq!(server_fault(text), fault);
    }
    for (text, fault) in [
        (
            "[policy]\nstill_failing = \"blok\"",
            "line 2: `policy.still_failing`: unknown variant `blok`, expected one of `block`, `warn`, `info`",
        ),
        (
            "[jobsets.d]\nfile = \"a.nix\"\nattrs = [\n  \"ok\",\n  \"a..b\",\n]",
            "line 3: `jobsets.d.attrs`: attribute path `a..b` has an empty name; quote it as \"\" if it is meant",
        ),
        (
            "\n[jobsets.d]\nattrs = []",
            "line 2: the jobset `d` says nothing to evaluate; add `file = \"release.nix\"` or `flake = \"packages\"`",
        ),
        (
            "[jobsets.d]\nfile = \"a.nix\"\nflake = \"packages\"",
            "line 3: the jobset `d` has both `file` and `flake`; keep one of them",
        ),
        (
            "[jobsets.d]\nfile = \"../a.nix\"",
            "line 2: `file` of the jobset `d` must be a path inside the repository, not `../a.nix`",
        ),
        ("[jobsets.\"d.e\"]\nfile = \"a.nix\"", "line 1: the name `d.e` may have letters, digits, `-` and `_` only"),
        (
            "[jobsets.d]\nfile = \"a.nix\"\nargs.x = \"1\"\nargstrs.x = \"1\"",
            "line 4: the argument `x` is both in `args` and in `argstrs`; keep one of them",
        ),
    ] {
        assert_eq!(repository_fault(text), fault);
    }
}

#[test]
fn variants_are_jobsets_of_their_own() {
    let config = repository::parse(
        r#"
        [jobsets.default]
        file = "release.nix"
        attrs = ["pkgs", "set.\"odd.name\""]
        systems = ["x86_64-linux"]
        args = { config = "{ }", x = "1" }
        argstrs = { who = "me" }

        [jobsets.default.variants.no-aliases]
        args = { config = "{ allowAliases = false; }", who = "null" }

        [jobsets.default.variants.all]
        attrs = []
        force_recurse = true

        [jobsets.other]
        flake = "packages"

        [policy]
        base = "failing"
        new_failing = "warn"
        "#,
    )
    .unwrap();
    let names: Vec<_> = config.jobsets.iter().map(|jobset| jobset.name.as_str()).collect();
    assert_eq!(names, ["default", "default.all", "default.no-aliases", "other"]);
    let [default, all, no_aliases, other] = &config.jobsets[..] else { panic!() };
    assert_eq!(default.attrs, [AttrPath::new(["pkgs"]), AttrPath::new(["set", "odd.name"])]);
    assert_eq!((all.attrs.len(), all.force_recurse, &all.args), (0, true, &default.args));
    assert_eq!(no_aliases.source, JobsetSource::File("release.nix".into()));
    let args = [("config", "{ allowAliases = false; }"), ("who", "null"), ("x", "1")];
    assert_eq!(no_aliases.args, args.map(|(name, value)| (name.into(), value.into())).into());
    assert!(no_aliases.argstrs.is_empty());
    assert_eq!(other.source, JobsetSource::Flake("packages".into()));
    assert_eq!(config.policy, Policy { base: BaseBuilds::Failing, new_failing: Level::Warn, ..Policy::default() });
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![".{0,12}", "[a-z]{1,8}"]
}

fn settings() -> impl Strategy<Value = Settings> {
    let eval = (
        proptest::option::of(1..64u32),
        128..100_000u64,
        any::<bool>(),
        1..1_000_000u64,
        proptest::collection::vec(text(), 0..3),
        any::<bool>(),
        any::<u32>(),
        (1..1_000_000u64, 1..100_000u32),
    )
        .prop_map(
            |(workers, memory_mb, accept_unconfined, timeout_seconds, allowed_uris, record, self_check_one_in, traces)| Eval {
                workers,
                memory_mb,
                accept_unconfined,
                timeout_seconds,
                allowed_uris,
                record,
                self_check_one_in,
                traces_max_mb: traces.0,
                traces_max_days: traces.1,
            },
        );
    let slots = (
        proptest::option::of(64..1_000u64),
        proptest::option::of(1..10_001u64),
        16..100_000u64,
        proptest::option::of((1..9u32, proptest::option::of(1_000..9_000u64))),
    );
    let build = (
        proptest::option::of(1..64u32),
        slots,
        proptest::option::of(1..1_000_000u64),
        proptest::option::of(1..1_000_000u64),
        1..100_000u64,
        any::<u32>(),
        proptest::collection::btree_map(text(), text(), 0..4),
    )
        .prop_map(|(jobs, slots, timeout, max_silent, max_log_mb, remember_failures_days, options)| Build {
            machines_file: None,
            jobs,
            memory_mb: slots.0,
            cpu_weight: slots.1,
            cpu_percent: slots.1,
            pids_max: slots.2,
            io_weight: slots.1,
            downloads: 1 + remember_failures_days % 9,
            big: slots.3.map(|(jobs, memory_mb)| Big { jobs, memory_mb, ..Big::default() }),
            worker: slots.0.map(|number| format!("/run/{number}").into()),
            timeout,
            max_silent,
            max_log_mb,
            remember_failures_days,
            options,
        });
    let repository =
        (text(), proptest::option::of(text())).prop_map(|(path, base_branch)| (PathBuf::from(format!("/{path}")), base_branch));
    let listen = (any::<std::net::IpAddr>(), any::<u16>()).prop_map(std::net::SocketAddr::from);
    let own = (listen, proptest::option::of(text()), proptest::option::of(text()), text());
    (own, proptest::collection::vec(repository, 0..4), eval, build, 1..1000u64).prop_map(
        |((listen, state_dir, public_url, filter), repositories, eval, build, poll_seconds)| Settings {
            builders: Vec::new(),
            sign_in: super::sign_in::SignIn::default(),
            listen,
            state_dir: state_dir.map(|dir| format!("/{dir}").into()),
            public_url: public_url.map(|url| format!("https://{url}")),
            repositories: (0..)
                .zip(repositories)
                .map(|(number, (path, base_branch))| Repository {
                    name: format!("local/r{number}").as_str().into(),
                    path,
                    base_branch,
                })
                .collect(),
            worker: Worker {
                daemons: build.downloads,
                users: Some(build.options.keys().cloned().collect()),
                ..Worker::default()
            },
            eval,
            build,
            github: github::GitHub::default(),
            limits: Limits { poll_seconds },
            log: Log { filter },
        },
    )
}

proptest! {
    #[test]
    fn settings_that_are_written_read_back(settings in settings()) {
        let text = toml::to_string(&settings).unwrap();
        prop_assert_eq!(Settings::parse(&text).map_err(|error| error.to_string()), Ok(settings));
    }

    #[test]
    fn no_text_is_a_panic(text in "([a-z_.\\[\\]= \"'0-9\n]|.){0,60}") {
        for fault in [Settings::parse(&text).err(), repository::parse(&text).err()].into_iter().flatten() {
            prop_assert!(!fault.to_string().contains('\n'), "{}", fault);
        }
    }

    #[test]
    fn every_slip_of_a_known_key_finds_it_again(slip in 0..3usize, place in 1..5usize) {
        let keys: BTreeMap<_, _> = [("listen", ""), ("accept_unconfined", "eval"), ("remember_failures_days", "build"), ("poll_seconds", "limits")].into();
        for (key, section) in keys {
            let mut wrong: Vec<char> = key.chars().collect();
            match slip {
                0 => drop(wrong.remove(place)),
                1 => wrong.swap(place - 1, place),
                _ => wrong.insert(place, 'x'),
            }
            let wrong: String = wrong.into_iter().collect();
            prop_assume!(wrong != key);
            let header = if section.is_empty() { String::new() } else { format!("[{section}]\n") };
            let fault = server_fault(&format!("{header}{wrong} = 1"));
            prop_assert!(fault.ends_with(&format!("{wrong}`; did you mean `{key}`?")), "{}", fault);
        }
    }
}

#[test]
fn a_file_that_is_not_there_is_one_sentence() {
    let error = Settings::load(Path::new("/nowhere/config.toml")).unwrap_err();
    assert_eq!(error.to_string(), "/nowhere/config.toml: there is no such file");
}

mod hot_reload {
    use crate::config::watch::{Edit, Live};

    async fn edit(edits: &mut tokio::sync::broadcast::Receiver<Edit>) -> Edit {
        edits.recv().await.unwrap()
    }

    #[actix::test]
    async fn an_edit_applies_and_a_bad_one_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config.toml");
        std::fs::write(&file, "[build]\njobs = 1\n").unwrap();
        let live = Live::open(&file).unwrap();
        let mut edits = live.edits();

        // written in place
        std::fs::write(&file, "listen = \"[::1]:1\"\n[build]\njobs = 2\n").unwrap();
        let Edit::Applied { settings, restart_needed_for } = edit(&mut edits).await else { panic!() };
        assert_eq!((settings.build.jobs, restart_needed_for), (Some(2), vec!["listen".to_owned(), "build".to_owned()]));
        assert_eq!(live.current().build.jobs, Some(2));

        // what is looked at each time needs no restart
        std::fs::write(&file, "listen = \"[::1]:1\"\n[build]\njobs = 2\n[eval]\ntraces_max_mb = 64\ntraces_max_days = 3\n")
            .unwrap();
        let Edit::Applied { settings, restart_needed_for } = edit(&mut edits).await else { panic!() };
        assert_eq!((settings.eval.traces_max_mb, restart_needed_for), (64, vec![]));

        std::fs::write(&file, "[build]\njobs = 3\nbogus = 1\n").unwrap();
        let Edit::Refused(error) = edit(&mut edits).await else { panic!() };
        assert!(
            error
                .to_string()
                .contains("config.toml:3: unknown key `build.bogus`; the nearest known one is `jobs`, of jobs, memory_mb, "),
            "{error}"
        );
        assert_eq!(live.current().build.jobs, Some(2));

        // replaced, as editors do
        let new = directory.path().join("new");
        std::fs::write(&new, "[build]\njobs = 4\n").unwrap();
        std::fs::rename(&new, &file).unwrap();
        let Edit::Applied { settings, .. } = edit(&mut edits).await else { panic!() };
        assert_eq!(settings.build.jobs, Some(4));

        std::fs::remove_file(&file).unwrap();
        let Edit::Refused(error) = edit(&mut edits).await else { panic!() };
        assert!(error.to_string().ends_with("there is no such file"), "{error}");
        assert_eq!(live.current().build.jobs, Some(4));
    }

    #[test]
    fn a_link_that_was_turned_is_seen_when_asked() {
        let directory = tempfile::tempdir().unwrap();
        let [one, two, link] = ["one", "two", "link"].map(|name| directory.path().join(name));
        for (generation, jobs) in [(&one, 1), (&two, 2)] {
            std::fs::create_dir(generation).unwrap();
            std::fs::write(generation.join("config.toml"), format!("build.jobs = {jobs}")).unwrap();
        }
        std::os::unix::fs::symlink(&one, &link).unwrap();
        let live = Live::open(&link.join("config.toml")).unwrap();
        std::fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(&two, &link).unwrap();
        live.reload();
        assert_eq!(live.current().build.jobs, Some(2));
    }

    #[test]
    fn a_bad_file_is_refused_at_first() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config.toml");
        std::fs::write(&file, "a = 1").unwrap();
        assert!(Live::open(&file).is_err());
    }
}
