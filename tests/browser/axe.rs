//! axe-core looks at a page: what a screen reader, a keyboard or weak eyes can't make use of.

use std::sync::OnceLock;

use serde_json::Value;

use crate::chromium::Browser;

/// Where `assets/setup/axe` puts it.
fn script() -> &'static str {
    static SCRIPT: OnceLock<String> = OnceLock::new();
    SCRIPT.get_or_init(|| {
        let root = nix::unistd::geteuid().is_root();
        let cache = std::env::var_os("XDG_CACHE_HOME").map(std::path::PathBuf::from);
        let cache = cache.or_else(|| Some(std::path::PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
        let cache = if root { "/opt".into() } else { cache.unwrap() };
        let directory = std::env::var_os("SNOWGATE_AXE").map_or_else(|| cache.join("snowgate/axe"), Into::into);
        let file = directory.join("axe-core/axe.min.js");
        std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}; assets/setup/axe brings it", file.display()))
    })
}

/// Every violation on the page as one line.
pub fn violations(browser: &Browser) -> Vec<String> {
    browser.run(script());
    let found = browser.ask(
        "const done = arguments[arguments.length - 1]; axe.run(document).then(found => done([found.passes.length, found.violations]), fault => done(String(fault)));",
        Vec::new(),
    );
    let [passed, Value::Array(found)] = found.as_array().map(Vec::as_slice).unwrap_or_default() else {
        panic!("axe could not look: {found}")
    };
    assert!(passed.as_u64() > Some(10), "axe saw nothing of {}", browser.at());
    let one = |violation: &Value| {
        let nodes = violation["nodes"].as_array().unwrap();
        let where_ =
            nodes.iter().take(3).map(|node| format!("{} {}", node["target"], node["failureSummary"])).collect::<Vec<_>>();
        format!("{}: {} ({} times): {}", violation["id"], violation["help"], nodes.len(), where_.join("; "))
    };
    found.iter().map(one).collect()
}
