//! Numbers and texts in a row, and columns of them.

use super::Unreadable;

#[derive(Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    pub fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    /// Seven bits in a byte, the lowest first; the eighth says that there are more.
    pub fn number(&mut self, number: u64) {
        let mut rest = number;
        while rest >= 0x80 {
            self.0.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.0.push(rest as u8);
    }

    /// How far `number` is from what was expected; 0 where it is just that.
    pub fn away_from(&mut self, expected: u32, number: u32) {
        let away = i64::from(number) - i64::from(expected);
        self.number(((away << 1) ^ (away >> 63)) as u64);
    }

    pub fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.raw(text.as_bytes());
    }

    /// All of `column`, to be read by itself.
    pub fn column(&mut self, column: Writer) {
        self.number(column.0.len() as u64);
        self.raw(&column.0);
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Reads what a [`Writer`] wrote. Nothing that it reads makes it allocate more than a small multiple of the bytes that are there.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn byte(&mut self) -> Result<u8, Unreadable> {
        let (first, rest) = self.0.split_first().ok_or(Unreadable::Contents("it ends too early"))?;
        self.0 = rest;
        Ok(*first)
    }

    pub fn number(&mut self) -> Result<u64, Unreadable> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Unreadable::Contents("a number without end"))
    }

    pub fn small(&mut self) -> Result<u32, Unreadable> {
        u32::try_from(self.number()?).map_err(|_| Unreadable::Contents("a number that is too large"))
    }

    pub fn away_from(&mut self, expected: u32) -> Result<u32, Unreadable> {
        let folded = self.number()?;
        let away = (folded >> 1) as i64 ^ -((folded & 1) as i64);
        let number = i64::from(expected).checked_add(away).and_then(|number| u32::try_from(number).ok());
        number.ok_or(Unreadable::Contents("a number that is too large"))
    }

    /// Of things of at least one byte each that follow in this column.
    pub fn count(&mut self) -> Result<usize, Unreadable> {
        let count = usize::try_from(self.number()?).ok().filter(|count| *count <= self.0.len());
        count.ok_or(Unreadable::Contents("more things than bytes"))
    }

    pub fn raw(&mut self, length: usize) -> Result<&'a [u8], Unreadable> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Unreadable::Contents("it ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub fn array<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], Unreadable> {
        self.raw(LENGTH)?.try_into().map_err(|_| Unreadable::Contents("it ends too early"))
    }

    pub fn text(&mut self) -> Result<&'a str, Unreadable> {
        let length = self.count()?;
        std::str::from_utf8(self.raw(length)?).map_err(|_| Unreadable::Contents("a text that is none"))
    }

    pub fn column(&mut self) -> Result<Reader<'a>, Unreadable> {
        let length = self.count()?;
        Ok(Reader(self.raw(length)?))
    }

    /// Nothing is left.
    pub fn end(&self) -> Result<(), Unreadable> {
        if self.0.is_empty() { Ok(()) } else { Err(Unreadable::Contents("it goes on after its end")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(number: u64, expected: u32, small: u32, text: String) {
            let mut inner = Writer::default();
            inner.text(&text);
            let mut writer = Writer::default();
            writer.number(number);
            writer.away_from(expected, small);
            writer.column(inner);
            let bytes = writer.into_bytes();
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.number().unwrap(), number);
            prop_assert_eq!(reader.away_from(expected).unwrap(), small);
            let mut column = reader.column().unwrap();
            prop_assert_eq!(column.text().unwrap(), text);
            column.end().unwrap();
            reader.end().unwrap();
        }

        #[test]
        fn anything_can_be_read_without_harm(bytes: Vec<u8>) {
            let mut reader = Reader::new(&bytes);
            while reader.number().is_ok() {}
            let mut reader = Reader::new(&bytes);
            while reader.text().is_ok_and(|text| !text.is_empty()) {}
            let mut reader = Reader::new(&bytes);
            while reader.away_from(7).is_ok() {}
        }
    }
}
