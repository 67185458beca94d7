//! A fault in a configuration file, in words for the person who wrote it.

/// Where the fault is and what it is, in one sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The file, as the person named it.
    pub file: Option<String>,
    /// From 1.
    pub line: Option<usize>,
    pub message: String,
}

impl ConfigError {
    pub(super) fn in_file(self, file: &std::path::Path) -> Self {
        Self { file: Some(file.display().to_string()), ..self }
    }
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "{file}:{line}: {}", self.message),
            (Some(file), None) => write!(f, "{file}: {}", self.message),
            (None, Some(line)) => write!(f, "line {line}: {}", self.message),
            (None, None) => f.write_str(&self.message),
        }
    }
}
