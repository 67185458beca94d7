//! Who may have daemons started.

use std::collections::BTreeSet;
use std::ffi::CString;

use nix::unistd::{Gid, Group, Uid, User, getgrouplist};

/// Root, and these.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Admitted {
    pub users: BTreeSet<u32>,
    pub groups: BTreeSet<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no {kind} `{name}` on this machine; create it, or name another in [worker]")]
pub struct NoSuchName {
    pub kind: &'static str,
    pub name: String,
}

/// The user that the units run `serve` as, and its group. They need not be there.
const USUAL: &str = "snowgate";

impl Admitted {
    /// By number or by name; where nothing is said, the usual user and its group.
    pub fn of(users: Option<&[String]>, group: Option<&str>) -> Result<Self, NoSuchName> {
        let users = match users {
            None => user(USUAL).into_iter().collect(),
            Some(names) => names.iter().map(|name| user(name).ok_or_else(|| missing("user", name))).collect::<Result<_, _>>()?,
        };
        let groups = match group {
            None => self::group(USUAL).into_iter().collect(),
            Some(name) => BTreeSet::from([self::group(name).ok_or_else(|| missing("group", name))?]),
        };
        Ok(Self { users, groups })
    }

    pub(super) fn admits(&self, uid: u32, gid: u32) -> bool {
        uid == 0 || self.users.contains(&uid) || self.groups.contains(&gid) || self.has_member(uid)
    }

    fn has_member(&self, uid: u32) -> bool {
        if self.groups.is_empty() {
            return false;
        }
        // no such user: a number alone
        let Ok(Some(user)) = User::from_uid(Uid::from_raw(uid)) else { return false };
        let Ok(name) = CString::new(user.name) else { return false };
        getgrouplist(&name, user.gid).is_ok_and(|groups| groups.iter().any(|group| self.groups.contains(&group.as_raw())))
    }

    /// Whom the socket's file belongs to.
    pub fn group(&self) -> Option<Gid> {
        self.groups.first().map(|gid| Gid::from_raw(*gid))
    }
}

fn missing(kind: &'static str, name: &str) -> NoSuchName {
    NoSuchName { kind, name: name.to_owned() }
}

fn user(name: &str) -> Option<u32> {
    match name.parse() {
        Ok(number) => Some(number),
        Err(_) => User::from_name(name).ok().flatten().map(|user| user.uid.as_raw()),
    }
}

fn group(name: &str) -> Option<u32> {
    match name.parse() {
        Ok(number) => Some(number),
        Err(_) => Group::from_name(name).ok().flatten().map(|group| group.gid.as_raw()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_whoever_is_named() {
        let names = ["1234".to_owned(), "root".to_owned()];
        let admitted = Admitted::of(Some(&names), Some("77")).unwrap();
        assert!(admitted.admits(0, 5) && admitted.admits(1234, 5) && admitted.admits(9, 77));
        assert!(!admitted.admits(9, 5));
        assert!(!Admitted::default().admits(1234, 0));
        let missing = Admitted::of(Some(&["nobody-of-that-name".into()]), None).unwrap_err();
        assert!(missing.to_string().contains("no user `nobody-of-that-name`"), "{missing}");
    }
}
