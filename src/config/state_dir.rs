//! The state directory and what lies where in it.

use std::path::{Path, PathBuf};

/// One per process: the database holds its lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDir {
    root: PathBuf,
}

impl StateDir {
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// `$XDG_STATE_HOME/snowgate`, or `~/.local/state/snowgate`; `None` where neither variable is set.
    pub fn default_for_user() -> Option<Self> {
        Self::default_for(|name| std::env::var_os(name))
    }

    fn default_for(variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> Option<Self> {
        // the XDG base directory specification has relative paths ignored
        let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")))?;
        Some(Self::new(home.join("snowgate")))
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The database.
    pub fn db(&self) -> PathBuf {
        self.root.join("snowgate.sqlite")
    }

    /// Held by the one process that uses the directory; names it.
    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// What cookies are signed and tokens are encrypted with, where no other key is configured.
    pub fn sign_in_key(&self) -> PathBuf {
        self.root.join("sign-in.key")
    }

    /// Build logs.
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// Git objects of merges, one directory per repository.
    pub fn objects(&self) -> PathBuf {
        self.root.join("objects")
    }

    /// Checkouts that evaluations read, one directory per repository.
    pub fn trees(&self) -> PathBuf {
        self.root.join("trees")
    }

    /// Host keys of SSH builders.
    pub fn ssh(&self) -> PathBuf {
        self.root.join("ssh")
    }

    /// Garbage-collection roots.
    pub fn roots(&self) -> PathBuf {
        self.root.join("roots")
    }

    /// Both sides of evaluations that the self-check found to differ.
    pub fn alarms(&self) -> PathBuf {
        self.root.join("alarms")
    }

    /// Copies of the repositories of forges, one directory each.
    pub fn mirrors(&self) -> PathBuf {
        self.root.join("mirrors")
    }

    /// The credentials of the GitHub App that registered itself.
    pub fn github_app(&self) -> PathBuf {
        self.root.join("github/app.json")
    }

    /// What the evaluating processes may write: homes, caches, the driver.
    pub fn evaluator(&self) -> PathBuf {
        self.root.join("evaluator")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn default_with(variables: &[(&str, &str)]) -> Option<PathBuf> {
        StateDir::default_for(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| value.into()))
            .map(|state| state.root().to_owned())
    }

    #[test]
    fn it_follows_the_xdg_specification() {
        assert_eq!(default_with(&[("XDG_STATE_HOME", "/s"), ("HOME", "/h")]), Some("/s/snowgate".into()));
        assert_eq!(default_with(&[("HOME", "/h")]), Some("/h/.local/state/snowgate".into()));
        assert_eq!(default_with(&[("XDG_STATE_HOME", "relative"), ("HOME", "/h")]), Some("/h/.local/state/snowgate".into()));
        assert_eq!(default_with(&[]), None);
    }
}
