//! The system calls by which a process can learn of the file system, and what each means for a trace. What is not named here has
//! nothing to do with paths: it works on descriptors that one of these calls opened, or on no file at all.

use libc::{AT_SYMLINK_NOFOLLOW, c_long};

/// A path among the arguments of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathArgument {
    /// The argument that is the descriptor of the directory from which a relative path leads; `None`: the current directory.
    pub at: Option<usize>,
    pub path: usize,
}

/// Whether a call goes on where the path's last name is a symbolic link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    Always,
    Never,
    /// Unless this argument has this flag.
    Unless(usize, i32),
}

/// What a call that the supervisor hears of does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// open(2): flags in this argument.
    Open(usize),
    /// openat2(2): a pointer to `struct open_how`.
    OpenHow(usize),
    Stat(Follows),
    Link,
    /// Changes what is there, or what a path means.
    Change,
    /// Makes a second way to a file.
    Alias,
    /// Learns something that no key stands for.
    Unknown,
    Execute,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Treatment {
    Tell(Meaning, &'static [PathArgument]),
    /// Refused with this error, as where the kernel does not have it or its rules forbid it.
    Refuse(i32),
    /// Refused with this error if the argument has one of these bits.
    RefuseBits(usize, u32, i32),
    /// By its first argument, the family: refused between processes, told of where it leads outside, let alone where it asks the kernel.
    Socket,
}

#[derive(Debug, Clone, Copy)]
pub struct Call {
    pub number: c_long,
    pub name: &'static str,
    pub treatment: Treatment,
}

const fn here(path: usize) -> PathArgument {
    PathArgument { at: None, path }
}

const fn from(at: usize, path: usize) -> PathArgument {
    PathArgument { at: Some(at), path }
}

const fn tell(meaning: Meaning, paths: &'static [PathArgument]) -> Treatment {
    Treatment::Tell(meaning, paths)
}

mod numbers {
    pub use libc::*;

    /// asm-generic/unistd.h: the crate has no name for it on some processors.
    #[allow(non_upper_case_globals)]
    pub const SYS_fchmodat2: c_long = 452;
}

macro_rules! calls {
    ($($(#[$attribute:meta])* $number:ident => $treatment:expr,)*) => {
        &[$($(#[$attribute])* Call { number: numbers::$number, name: stringify!($number), treatment: $treatment },)*]
    };
}

use Follows::{Always, Never, Unless};
use Meaning::{Alias, Change, Execute, Link, Open, OpenHow, Stat, Unknown};
use Treatment::{Refuse, RefuseBits, Socket};

const NOT_THERE: Treatment = Refuse(libc::ENOSYS);
const FORBIDDEN: Treatment = Refuse(libc::EPERM);

/// New namespaces: a tree could be seen at another path in them.
const NAMESPACES: u32 =
    (libc::CLONE_NEWNS | libc::CLONE_NEWUSER | libc::CLONE_NEWPID | libc::CLONE_NEWNET | libc::CLONE_NEWCGROUP) as u32;

/// From this number on the kernel's calls are too new to be judged: they are answered as an older kernel would. 457 is statmount(2),
/// the first of the newer ones that takes or tells a path; the numbers are the same for all processors from 424 on.
pub const TOO_NEW: u32 = 457;

pub const CALLS: &[Call] = calls![
    SYS_openat => tell(Open(2), &[from(0, 1)]),
    SYS_openat2 => tell(OpenHow(2), &[from(0, 1)]),
    SYS_newfstatat => tell(Stat(Unless(3, AT_SYMLINK_NOFOLLOW)), &[from(0, 1)]),
    SYS_statx => tell(Stat(Unless(2, AT_SYMLINK_NOFOLLOW)), &[from(0, 1)]),
    SYS_readlinkat => tell(Link, &[from(0, 1)]),
    SYS_faccessat => tell(Stat(Always), &[from(0, 1)]),
    SYS_faccessat2 => tell(Stat(Unless(3, AT_SYMLINK_NOFOLLOW)), &[from(0, 1)]),
    SYS_chdir => tell(Stat(Always), &[here(0)]),
    SYS_execve => tell(Execute, &[here(0)]),
    SYS_execveat => tell(Execute, &[from(0, 1)]),
    #[cfg(target_arch = "x86_64")]
    SYS_open => tell(Open(1), &[here(0)]),
    #[cfg(target_arch = "x86_64")]
    SYS_creat => tell(Change, &[here(0)]),
    #[cfg(target_arch = "x86_64")]
    SYS_stat => tell(Stat(Always), &[here(0)]),
    #[cfg(target_arch = "x86_64")]
    SYS_lstat => tell(Stat(Never), &[here(0)]),
    #[cfg(target_arch = "x86_64")]
    SYS_access => tell(Stat(Always), &[here(0)]),
    #[cfg(target_arch = "x86_64")]
    SYS_readlink => tell(Link, &[here(0)]),
    // what no key stands for
    SYS_getxattr => tell(Unknown, &[here(0)]),
    SYS_lgetxattr => tell(Unknown, &[here(0)]),
    SYS_fgetxattr => tell(Unknown, &[]),
    SYS_listxattr => tell(Unknown, &[here(0)]),
    SYS_llistxattr => tell(Unknown, &[here(0)]),
    SYS_flistxattr => tell(Unknown, &[]),
    SYS_statfs => tell(Unknown, &[here(0)]),
    SYS_name_to_handle_at => tell(Unknown, &[from(0, 1)]),
    SYS_inotify_add_watch => tell(Unknown, &[here(1)]),
    SYS_fanotify_mark => tell(Unknown, &[from(3, 4)]),
    // what changes files
    SYS_truncate => tell(Change, &[here(0)]),
    SYS_mkdirat => tell(Change, &[from(0, 1)]),
    SYS_mknodat => tell(Change, &[from(0, 1)]),
    SYS_unlinkat => tell(Change, &[from(0, 1)]),
    SYS_renameat2 => tell(Change, &[from(0, 1), from(2, 3)]),
    SYS_linkat => tell(Alias, &[from(0, 1), from(2, 3)]),
    SYS_symlinkat => tell(Alias, &[from(1, 2)]),
    SYS_fchmodat => tell(Change, &[from(0, 1)]),
    SYS_fchmodat2 => tell(Change, &[from(0, 1)]),
    SYS_fchownat => tell(Change, &[from(0, 1)]),
    SYS_utimensat => tell(Change, &[from(0, 1)]),
    SYS_setxattr => tell(Change, &[here(0)]),
    SYS_lsetxattr => tell(Change, &[here(0)]),
    SYS_removexattr => tell(Change, &[here(0)]),
    SYS_lremovexattr => tell(Change, &[here(0)]),
    SYS_renameat => tell(Change, &[from(0, 1), from(2, 3)]),
    #[cfg(target_arch = "x86_64")]
    SYS_rename => tell(Change, &[here(0), here(1)]),
    #[cfg(target_arch = "x86_64")]
    SYS_mkdir => tell(Change, &[here(0)]),
    #[cfg(target_arch = "x86_64")]
    SYS_rmdir => tell(Change, &[here(0)]),
    #[cfg(target_arch = "x86_64")]
    SYS_mknod => tell(Change, &[here(0)]),
    #[cfg(target_arch = "x86_64")]
    SYS_unlink => tell(Change, &[here(0)]),
    #[cfg(target_arch = "x86_64")]
    SYS_link => tell(Alias, &[here(0), here(1)]),
    #[cfg(target_arch = "x86_64")]
    SYS_symlink => tell(Alias, &[here(1)]),
    #[cfg(target_arch = "x86_64")]
    SYS_chmod => tell(Change, &[here(0)]),
    #[cfg(target_arch = "x86_64")]
    SYS_chown => tell(Change, &[here(0)]),
    #[cfg(target_arch = "x86_64")]
    SYS_lchown => tell(Change, &[here(0)]),
    #[cfg(target_arch = "x86_64")]
    SYS_utime => tell(Change, &[here(0)]),
    #[cfg(target_arch = "x86_64")]
    SYS_utimes => tell(Change, &[here(0)]),
    #[cfg(target_arch = "x86_64")]
    SYS_futimesat => tell(Change, &[from(0, 1)]),
    // an address may be a path, and what answers there is the world
    SYS_socket => Socket,
    SYS_socketpair => Socket,
    // opens files where nobody is asked
    SYS_io_uring_setup => NOT_THERE,
    SYS_io_uring_enter => NOT_THERE,
    SYS_io_uring_register => NOT_THERE,
    SYS_open_by_handle_at => FORBIDDEN,
    SYS_pidfd_getfd => FORBIDDEN,
    SYS_quotactl => FORBIDDEN,
    #[cfg(target_arch = "x86_64")]
    SYS_uselib => FORBIDDEN,
    // changes what a path means
    SYS_chroot => FORBIDDEN,
    SYS_pivot_root => FORBIDDEN,
    SYS_mount => FORBIDDEN,
    SYS_umount2 => FORBIDDEN,
    SYS_move_mount => FORBIDDEN,
    SYS_open_tree => FORBIDDEN,
    SYS_mount_setattr => FORBIDDEN,
    SYS_fsopen => FORBIDDEN,
    SYS_fspick => FORBIDDEN,
    SYS_fsmount => FORBIDDEN,
    SYS_setns => FORBIDDEN,
    SYS_unshare => RefuseBits(0, NAMESPACES, libc::EPERM),
    SYS_clone => RefuseBits(0, NAMESPACES, libc::EPERM),
    // its flags are in memory, where a filter can't see them; C libraries use clone(2) then
    SYS_clone3 => NOT_THERE,
    // changes what a process does behind its supervisor's back
    SYS_ptrace => FORBIDDEN,
    SYS_process_vm_writev => FORBIDDEN,
    SYS_bpf => FORBIDDEN,
    SYS_userfaultfd => FORBIDDEN,
    SYS_seccomp => FORBIDDEN,
];

impl Follows {
    pub fn holds(self, arguments: &[u64; 6]) -> bool {
        match self {
            Always => true,
            Never => false,
            Unless(argument, flag) => arguments[argument] as i32 & flag == 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_call_is_named_once_and_is_older_than_what_is_refused_as_too_new() {
        let mut seen = HashSet::new();
        for call in CALLS {
            assert!(seen.insert(call.number), "{} twice", call.name);
            assert!((call.number as u32) < TOO_NEW, "{}", call.name);
        }
    }
}
