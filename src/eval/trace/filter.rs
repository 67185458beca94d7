//! The seccomp filter of a recording evaluator: calls that can learn of the file system wait for the supervisor, a few are refused, all
//! others pass.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use libc::{
    BPF_ABS, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W, SECCOMP_FILTER_FLAG_NEW_LISTENER,
    SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO, SECCOMP_RET_KILL_PROCESS,
    SECCOMP_RET_USER_NOTIF, SECCOMP_SET_MODE_FILTER, c_ulong, sock_filter, sock_fprog,
};

use super::calls::{CALLS, TOO_NEW, Treatment};

/// linux/audit.h
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// `struct seccomp_data`
const NUMBER: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
const ARGUMENTS: u32 = 16;

const fn refused(error: i32) -> u32 {
    SECCOMP_RET_ERRNO | error as u32
}

fn load(offset: u32) -> sock_filter {
    sock_filter { code: (BPF_LD | BPF_W | BPF_ABS) as u16, jt: 0, jf: 0, k: offset }
}

/// The low half of an argument, both processors being little-endian.
fn load_argument(index: usize) -> sock_filter {
    load(ARGUMENTS + 8 * index as u32)
}

fn answer(with: u32) -> sock_filter {
    sock_filter { code: (BPF_RET | BPF_K) as u16, jt: 0, jf: 0, k: with }
}

/// Goes on if it holds, else skips so many.
fn if_(test: u32, value: u32, else_skip: u8) -> sock_filter {
    sock_filter { code: (BPF_JMP | test | BPF_K) as u16, jt: 0, jf: else_skip, k: value }
}

fn program() -> Vec<sock_filter> {
    let mut program = vec![
        load(ARCHITECTURE_AT),
        // the right one: over the next
        sock_filter { jt: 1, ..if_(BPF_JEQ, ARCHITECTURE, 0) },
        // a call of another architecture, whose numbers mean something else
        answer(SECCOMP_RET_KILL_PROCESS),
        load(NUMBER),
    ];
    program.extend([if_(BPF_JGE, TOO_NEW, 1), answer(refused(libc::ENOSYS))]);
    for call in CALLS {
        let then = match call.treatment {
            Treatment::Tell(..) => vec![answer(SECCOMP_RET_USER_NOTIF)],
            Treatment::Refuse(error) => vec![answer(refused(error))],
            Treatment::RefuseBits(argument, bits, error) => {
                vec![load_argument(argument), if_(BPF_JSET, bits, 1), answer(refused(error)), answer(SECCOMP_RET_ALLOW)]
            }
            Treatment::Socket => vec![
                load_argument(0),
                if_(BPF_JEQ, libc::AF_UNIX as u32, 1),
                answer(refused(libc::EAFNOSUPPORT)),
                if_(BPF_JEQ, libc::AF_NETLINK as u32, 1),
                answer(SECCOMP_RET_ALLOW),
                answer(SECCOMP_RET_USER_NOTIF),
            ],
        };
        program.push(if_(BPF_JEQ, call.number as u32, then.len() as u8));
        program.extend(then);
    }
    program.push(answer(SECCOMP_RET_ALLOW));
    program
}

/// Puts this process, and all that it starts, behind the filter. What is returned hears of the calls that wait. Needs
/// `no_new_privs`.
pub fn install() -> io::Result<OwnedFd> {
    let mut program = program();
    let filter = sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // a signal must not end a call that the supervisor has heard of: it would hear of it again (Linux 5.19)
    set(SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &filter).or_else(|error| {
        if error.raw_os_error() == Some(libc::EINVAL) { set(SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter) } else { Err(error) }
    })
}

fn set(flags: c_ulong, filter: &sock_fprog) -> io::Result<OwnedFd> {
    // SAFETY: the filter points to a whole program that outlives the call; what is returned is a new descriptor, which nobody else
    // owns.
    unsafe {
        let descriptor = libc::syscall(libc::SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, filter as *const sock_fprog);
        if descriptor < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(descriptor as i32)) }
    }
}
