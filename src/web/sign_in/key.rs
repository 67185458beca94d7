//! The secret of this server: cookies are signed with it, tokens are encrypted under it. Whoever has the database without it has
//! neither.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

use crate::config::StateDir;

/// The name of the systemd credential.
const CREDENTIAL: &str = "sign-in-key";

/// As many as the cipher's key has.
const SECRET_BYTES: usize = 32;

pub struct Key {
    cipher: LessSafeKey,
    signature: hmac::Key,
    forms: hmac::Key,
}

#[derive(Debug, thiserror::Error)]
pub enum KeyFault {
    #[error("the key of sign-in {} can't be read: {reason}", file.display())]
    Unreadable { file: PathBuf, reason: std::io::Error },
    #[error("the key of sign-in {} has fewer than {SECRET_BYTES} bytes; `head -c 32 /dev/urandom | base64` makes a good one", file.display())]
    TooShort { file: PathBuf },
    #[error("everybody can read the key of sign-in {}; `chmod 600` it", file.display())]
    Open { file: PathBuf },
    #[error("the key of sign-in {} can't be made: {reason}", file.display())]
    NotMade { file: PathBuf, reason: std::io::Error },
    #[error("this machine gives no randomness")]
    NoRandomness,
    #[error("it was encrypted under another key, or altered")]
    NotOurs,
}

impl Key {
    /// The configured one, else systemd's credential, else one of our own in the state directory, made at the first time.
    pub fn open(configured: Option<&Path>, state: &StateDir) -> Result<Self, KeyFault> {
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        Self::find(configured, credentials.as_deref(), state)
    }

    fn find(configured: Option<&Path>, credentials: Option<&Path>, state: &StateDir) -> Result<Self, KeyFault> {
        if let Some(file) = configured {
            return Self::read(file);
        }
        if let Some(file) = credentials.map(|directory| directory.join(CREDENTIAL)).filter(|file| file.exists()) {
            return Self::read(&file);
        }
        let own = state.sign_in_key();
        if !own.exists() {
            make(&own)?;
        }
        Self::read(&own)
    }

    fn read(file: &Path) -> Result<Self, KeyFault> {
        let unreadable = |reason| KeyFault::Unreadable { file: file.to_owned(), reason };
        let mode = std::fs::metadata(file).map_err(unreadable)?.permissions().mode();
        if mode & 0o007 != 0 {
            return Err(KeyFault::Open { file: file.to_owned() });
        }
        let bytes = std::fs::read(file).map_err(unreadable)?;
        if bytes.trim_ascii().len() < SECRET_BYTES {
            return Err(KeyFault::TooShort { file: file.to_owned() });
        }
        // as they are: random bytes may begin or end with what looks like a space
        Self::of(&bytes)
    }

    fn of(secret: &[u8]) -> Result<Self, KeyFault> {
        // a key for each use, so that none of them tells anything of another
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let part = |of: &str| hmac::sign(&secret, format!("snowgate sign-in: {of}").as_bytes());
        let cipher = UnboundKey::new(&CHACHA20_POLY1305, part("tokens").as_ref()).map_err(|_| KeyFault::NotOurs)?;
        let signing = |of: &str| hmac::Key::new(hmac::HMAC_SHA256, part(of).as_ref());
        Ok(Self { cipher: LessSafeKey::new(cipher), signature: signing("cookies"), forms: signing("forms") })
    }

    /// Encrypts; only what names the same `owner` can be decrypted again, so that one row can't be put in another's place.
    pub fn seal(&self, owner: &[u8], plain: &[u8]) -> Result<Vec<u8>, KeyFault> {
        let mut nonce = [0; NONCE_LEN];
        fill(&mut nonce)?;
        let mut text = plain.to_vec();
        self.cipher
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(owner), &mut text)
            .map_err(|_| KeyFault::NotOurs)?;
        Ok([nonce.as_slice(), &text].concat())
    }

    pub fn unseal(&self, owner: &[u8], sealed: &[u8]) -> Result<Vec<u8>, KeyFault> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN).ok_or(KeyFault::NotOurs)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| KeyFault::NotOurs)?;
        let mut text = text.to_vec();
        let plain = self.cipher.open_in_place(nonce, Aad::from(owner), &mut text).map_err(|_| KeyFault::NotOurs)?;
        Ok(plain.to_vec())
    }

    /// `text.signature`, fit for a cookie.
    pub fn sign(&self, text: &str) -> String {
        format!("{text}.{}", data_encoding::BASE64URL_NOPAD.encode(hmac::sign(&self.signature, text.as_bytes()).as_ref()))
    }

    /// The text, if it was signed here.
    pub fn signed<'a>(&self, cookie: &'a str) -> Option<&'a str> {
        let (text, signature) = cookie.rsplit_once('.')?;
        let signature = data_encoding::BASE64URL_NOPAD.decode(signature.as_bytes()).ok()?;
        hmac::verify(&self.signature, text.as_bytes(), &signature).ok().map(|()| text)
    }

    /// What the forms of a session carry: 32 hexadecimal digits that nobody without the session can know.
    pub fn form_token(&self, session: &str) -> String {
        data_encoding::HEXLOWER.encode(&hmac::sign(&self.forms, session.as_bytes()).as_ref()[..16])
    }
}

/// A secret to be carried by one browser.
pub fn draw() -> Result<String, KeyFault> {
    let mut bytes = [0; SECRET_BYTES];
    fill(&mut bytes)?;
    Ok(data_encoding::BASE64URL_NOPAD.encode(&bytes))
}

fn fill(bytes: &mut [u8]) -> Result<(), KeyFault> {
    SystemRandom::new().fill(bytes).map_err(|_| KeyFault::NoRandomness)
}

/// Whole or not at all: a key that was cut short by a kill would be another one at the next start.
fn make(file: &Path) -> Result<(), KeyFault> {
    let secret = draw()?;
    let write = || {
        // made with mode 0600, and put in its place by renaming
        let mut new = tempfile::NamedTempFile::new_in(file.parent().unwrap_or(Path::new("/")))?;
        new.write_all(format!("{secret}\n").as_bytes())?;
        new.as_file().sync_all()?;
        new.persist(file).map_err(|error| error.error).map(drop)
    };
    write().map_err(|reason| KeyFault::NotMade { file: file.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &str) -> Key {
        Key::of(secret.as_bytes()).unwrap()
    }

    #[test]
    fn what_is_sealed_is_for_its_owner_under_its_key_and_as_it_was() {
        let (ours, theirs) = (key(&"a".repeat(32)), key(&"b".repeat(32)));
        let sealed = ours.seal(b"ann", b"ghu_token").unwrap();
        assert!(!sealed.windows(4).any(|part| part == b"ghu_"));
        assert_eq!(ours.unseal(b"ann", &sealed).unwrap(), b"ghu_token");
        assert_ne!(sealed, ours.seal(b"ann", b"ghu_token").unwrap(), "two of the same tell nobody that they are the same");
        assert!(ours.unseal(b"bob", &sealed).is_err());
        assert!(theirs.unseal(b"ann", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert!(ours.unseal(b"ann", &altered).is_err(), "byte {at}");
            assert!(ours.unseal(b"ann", &sealed[..at]).is_err(), "{at} bytes");
        }
    }

    #[test]
    fn a_signature_is_ours_and_of_this_text() {
        let (ours, theirs) = (key(&"a".repeat(32)), key(&"b".repeat(32)));
        let cookie = ours.sign("session");
        assert_eq!(ours.signed(&cookie), Some("session"));
        assert_eq!(theirs.signed(&cookie), None);
        for forged in
            ["", ".", "session", "session.", &cookie[1..], &cookie[..cookie.len() - 1], &cookie.replace("session", "other")]
        {
            assert_eq!(ours.signed(forged), None, "{forged}");
        }
        assert_ne!(ours.form_token("session"), ours.form_token("other"));
        assert_eq!(ours.form_token("session").len(), 32);
    }

    #[test]
    fn the_key_is_the_configured_one_else_systemds_else_our_own() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::new(directory.path());
        let file = |name: &str, text: &str, mode| {
            let file = directory.path().join(name);
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            file
        };
        let own = Key::find(None, Some(directory.path()), &state).unwrap();
        assert_eq!(std::fs::metadata(state.sign_in_key()).unwrap().permissions().mode() & 0o777, 0o600);
        let cookie = own.sign("session");
        assert!(Key::find(None, None, &state).unwrap().signed(&cookie).is_some(), "the second start finds the first one's");

        file(CREDENTIAL, &"c".repeat(32), 0o400);
        let systemds = Key::find(None, Some(directory.path()), &state).unwrap();
        assert!(systemds.signed(&cookie).is_none());
        let configured = file("configured", &"d".repeat(32), 0o640);
        assert!(
            Key::find(Some(&configured), Some(directory.path()), &state).unwrap().signed(&systemds.sign("session")).is_none()
        );

        let fault = |file: &Path| Key::find(Some(file), None, &state).err().unwrap().to_string();
        assert!(fault(&file("short", &format!("{}\n", "e".repeat(31)), 0o600)).contains("fewer than 32 bytes"));
        assert!(fault(&file("open", &"f".repeat(32), 0o644)).contains("chmod 600"));
        assert!(fault(&directory.path().join("none")).contains("can't be read"));
    }
}
