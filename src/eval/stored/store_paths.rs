//! Store paths in parts: the hash in as few bytes as it has bits.

use super::Unreadable;
use crate::domain::StorePath;

/// Nix's base-32 alphabet (nix, libutil/base-nix-32.hh).
const DIGITS: [u8; 32] = *b"0123456789abcdfghijklmnpqrsvwxyz";
const VALUES: [u8; 256] = {
    let mut values = [0; 256];
    let mut value = 0;
    while value < DIGITS.len() {
        values[DIGITS[value] as usize] = value as u8;
        value += 1;
    }
    values
};

/// The 32 digits of a hash in 20 bytes.
pub fn unhash(digits: &str) -> [u8; 20] {
    let mut bytes = [0; 20];
    for (eight, five) in digits.as_bytes().chunks(8).zip(bytes.chunks_mut(5)) {
        let number = eight.iter().fold(0u64, |number, digit| number << 5 | u64::from(VALUES[usize::from(*digit)]));
        five.copy_from_slice(&number.to_be_bytes()[3..]);
    }
    bytes
}

/// `DIR/HASH-NAME`, the name in parts.
pub fn store_path(dir: &str, hash: [u8; 20], name: &[&str]) -> Result<StorePath, Unreadable> {
    let mut text = String::with_capacity(dir.len() + 34 + name.iter().map(|part| part.len()).sum::<usize>());
    text.push_str(dir);
    text.push('/');
    for five in hash.chunks(5) {
        let number = five.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        text.extend((0..8).rev().map(|place| char::from(DIGITS[(number >> (5 * place)) as usize & 31])));
    }
    text.push('-');
    name.iter().for_each(|part| text.push_str(part));
    StorePath::try_from(text).map_err(|_| Unreadable::Contents("a store path that is none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_has_as_many_bits_as_digits() {
        let hash = "8x4imr87h9x530l6y2kdaj7ih62z8kgx";
        let path = store_path("/nix/store", unhash(hash), &["a", ".drv"]).unwrap();
        assert_eq!(path.as_str(), format!("/nix/store/{hash}-a.drv"));
    }
}
