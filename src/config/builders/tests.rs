//! What people write about their builders, and what it comes to.

use super::machines::{Machines, load};
use super::*;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB5qfVxyPDYxTMrbyAzMg2eMyIS7PlQTXpPSLNw0NeX1";

fn read(text: &str) -> Result<Vec<SshBuilder>, String> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("machines");
    std::fs::write(&file, text).unwrap();
    let place = format!("{}/", directory.path().display());
    load(&file).map(|machines| machines.builders).map_err(|error| error.to_string().replace(&place, ""))
}

fn words(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn a_line_with_all_its_fields() {
    let key = data_encoding::BASE64.encode(format!("{KEY} root@big\n").as_bytes());
    let text = format!(
        "# ours\n\nssh-ng://nix@big.example:2222?compress=true&remote-store=/srv/x%20y x86_64-linux,i686-linux /etc/key 8 2.5 big-parallel kvm,benchmark {key} # the big one\n"
    );
    let [builder] = read(&text).unwrap().try_into().unwrap();
    assert_eq!((builder.name.as_str(), builder.host.as_str()), ("big.example", "big.example"));
    assert_eq!((builder.user.as_deref(), builder.port), (Some("nix"), Some(2222)));
    assert_eq!(builder.systems, ["i686-linux", "x86_64-linux"].map(System::new).into());
    assert_eq!(builder.key_file, Some("/etc/key".into()));
    assert_eq!((builder.jobs, builder.speed, builder.compress), (8, 2.5, true));
    assert_eq!(builder.features, words(&["benchmark", "big-parallel", "kvm"]));
    assert_eq!(builder.mandatory, words(&["benchmark", "kvm"]));
    assert_eq!(builder.host_key.as_deref(), Some(KEY));
    assert_eq!(builder.store.as_deref(), Some("/srv/x y"));
}

#[test]
fn what_a_line_leaves_out_is_as_in_nix() {
    let builders = read("mac x86_64-darwin;ssh://[::1]:22 - - - 0\nnone - - 0\nlast - - - - - - -").unwrap();
    let names: Vec<&str> = builders.iter().map(|builder| builder.name.as_str()).collect();
    assert_eq!(names, ["mac", "::1", "last"]);
    assert_eq!(builders[0].systems, [System::new("x86_64-darwin")].into());
    assert_eq!(builders[1].systems, [System::host()].into());
    assert_eq!((builders[1].port, builders[1].jobs, builders[1].speed), (Some(22), 1, 1.0));
    assert_eq!(builders[0].program, ["nix-daemon"]);
    assert!(builders.iter().all(|b| b.key_file.is_none() && b.host_key.is_none() && b.features.is_empty() && b.user.is_none()));
}

#[test]
fn a_fault_names_its_line_and_the_way_out() {
    let cases = [
        ("a\nb - - many", "machines:2: the fourth field is the number of jobs, and `many` is none"),
        ("a - - 1 fast", "machines:1: the fifth field is the speed factor, and `fast` is none"),
        ("a - - 1 -1", "machines:1: the fifth field is the speed factor, and `-1` is none"),
        ("\n\nhttps://cache.example", "machines:3: `https://` is no way to a builder; use `ssh-ng://host`"),
        ("local", "machines:1: `local` is a store of this machine, and no builder elsewhere; use `ssh-ng://host`"),
        ("ssh://-oProxyCommand=x", "machines:1: `ssh://-oProxyCommand=x` names no host"),
        ("ssh://a:b", "machines:1: `b` is no port"),
        (
            "ssh://a?remote-programme=x",
            "machines:1: unknown parameter `remote-programme` in its URI; did you mean `remote-program`?",
        ),
        ("a - - 1 1 - - notakey", "machines:1: its host key is neither `ssh-ed25519 AAAA…` nor that in base64"),
        ("a - key", "machines:1: `ssh_key_file` must be an absolute path"),
        ("@more", "machines:1: `@more` must be an absolute path"),
    ];
    for (text, fault) in cases {
        assert_eq!(read(text).unwrap_err(), fault);
    }
    assert!(read("a - - 1 1 - - - surplus").unwrap_err().contains("`surplus` is a ninth field"));
}

#[test]
fn files_include_files() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    std::fs::write(at("one"), format!("first\n@{}\n@{}\nlast", at("two").display(), at("absent").display())).unwrap();
    std::fs::write(at("two"), "second").unwrap();
    let Machines { builders, files } = load(&at("one")).unwrap();
    assert_eq!(builders.iter().map(|b| b.name.as_str()).collect::<Vec<_>>(), ["first", "second", "last"]);
    assert_eq!(files, [at("one"), at("two"), at("absent")]);

    std::fs::write(at("two"), "second - - x").unwrap();
    assert!(load(&at("one")).unwrap_err().to_string().starts_with(&format!("{}:1: ", at("two").display())));
    std::fs::write(at("two"), format!("@{}", at("two").display())).unwrap();
    assert!(load(&at("one")).unwrap_err().to_string().contains("does one include itself?"));
    assert!(load(&at("absent")).unwrap_err().to_string().ends_with("there is no such file"));
}

#[test]
fn keys_are_taken_as_people_find_them() {
    for text in [KEY.to_owned(), format!("{KEY} root@x"), format!("[x]:2222 {KEY}"), format!("# x:22\nx {KEY}\n")] {
        assert_eq!(host_key::lines(&text).unwrap(), KEY);
        assert_eq!(host_key::lines(&data_encoding::BASE64.encode(text.as_bytes())).unwrap(), KEY);
    }
    let two = format!("{KEY} a\n{KEY} b");
    assert_eq!(host_key::lines(&two).unwrap(), format!("{KEY}\n{KEY}"));
    for wrong in ["", "ssh-ed25519", "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIB5qfVxyPDYxTMrbyAzMg2eMyIS7PlQTXpPSLNw0NeX1", "a b c"] {
        assert!(host_key::lines(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn each_has_a_name_of_its_own() {
    let machines = read("twin\ntwin aarch64-linux\nlocal.example\nother").unwrap();
    let other = SshBuilder { name: "other".into(), ..machines[0].clone() };
    let names = |builders: Vec<SshBuilder>| builders.into_iter().map(|b| b.name).collect::<Vec<_>>();
    assert_eq!(names(all(&[other], &machines)), ["other", "twin", "twin-2", "local.example", "other-2"]);
}
