//! Public keys of hosts, as people find them.

use data_encoding::BASE64;

/// The lines `TYPE BLOB` of what is the content of a host's `.pub` file, what `ssh-keyscan` prints, or either in base64.
pub(super) fn lines(text: &str) -> Result<String, String> {
    let text = text.trim();
    let unpacked = match text.contains(char::is_whitespace) {
        true => text.to_owned(),
        false => unpadded(text)
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or("its host key is neither `ssh-ed25519 AAAA…` nor that in base64")?,
    };
    let lines = unpacked.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let keys: Vec<String> = lines.map(key).collect::<Result<_, _>>()?;
    if keys.is_empty() { Err("its host key is empty".into()) } else { Ok(keys.join("\n")) }
}

fn unpadded(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    data_encoding::BASE64_NOPAD.decode(text.as_bytes()).ok()
}

/// `ssh-keyscan` puts the host before it, a `.pub` file a comment after it.
fn key(line: &str) -> Result<String, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let key = words.windows(2).take(2).find(|pair| is_key(pair[0], pair[1]));
    key.map(|pair| pair.join(" ")).ok_or_else(|| format!("`{line}` is no public key of a host"))
}

/// The blob begins with its type, and that with its length (RFC 4253, 6.6).
fn is_key(kind: &str, blob: &str) -> bool {
    BASE64.decode(blob.as_bytes()).is_ok_and(|blob| {
        let length = u32::try_from(kind.len()).unwrap_or(u32::MAX).to_be_bytes();
        blob.strip_prefix(&length).is_some_and(|rest| rest.len() > kind.len() && rest.starts_with(kind.as_bytes()))
    })
}
