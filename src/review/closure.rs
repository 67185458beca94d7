//! How a runtime closure changed.

use std::collections::BTreeMap;

use super::facts::Closure;
use super::report::ClosureChange;

/// Paths are compared by name, without their hashes, as often as they occur: a path that was merely rebuilt is no change, a second
/// copy of a library is one.
pub fn closure_change(base: &Closure, head: &Closure) -> ClosureChange {
    let mut surplus: BTreeMap<&str, i64> = BTreeMap::new();
    for path in head.paths.keys() {
        *surplus.entry(path.name()).or_default() += 1;
    }
    for path in base.paths.keys() {
        *surplus.entry(path.name()).or_default() -= 1;
    }
    let times = |sign: i64| {
        let repeat = move |(name, count): (&&str, &i64)| std::iter::repeat_n((*name).to_owned(), (sign * count).max(0) as usize);
        surplus.iter().flat_map(repeat).collect()
    };
    ClosureChange { base_bytes: base.bytes, head_bytes: head.bytes, added: times(1), removed: times(-1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::samples::closure;

    #[test]
    fn a_rebuilt_path_is_no_change_and_a_second_copy_is_one() {
        let base = closure(&[("app-1", "a", 10), ("ssl-3.0", "b", 5), ("zlib-1.2", "c", 1)]);
        let head = closure(&[("app-1", "d", 11), ("ssl-3.0", "f", 5), ("ssl-3.0", "g", 5), ("zlib-1.3", "h", 1)]);
        let change = closure_change(&base, &head);
        assert_eq!((change.base_bytes, change.head_bytes), (16, 22));
        assert_eq!(change.added, ["ssl-3.0", "zlib-1.3"]);
        assert_eq!(change.removed, ["zlib-1.2"]);
    }
}
