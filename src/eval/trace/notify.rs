//! The supervisor of a recording evaluator: the process that waits for it hears of every call that can learn of the file system before
//! the kernel carries it out, and writes a frame of it. If it fails, so does the evaluator: nothing goes on untraced.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, IoSliceMut, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use anyhow::{Context, bail};
use libc::{seccomp_notif, seccomp_notif_resp};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, sendmsg, socketpair,
};

use super::calls::{CALLS, Call, Meaning, PathArgument, Treatment};
use super::filter;
use super::frames::{Access, Frame, OWN_PLACE};

/// PATH_MAX: a longer path is refused by the kernel.
const PATH_BYTES: usize = 4096;
const PAGE_BYTES: usize = 4096;

/// Frames are kept until a mark is reached, or until there are this many bytes.
const KEPT_BYTES: usize = 32 << 10;

/// linux/seccomp.h; the answer wakes the waiting process on this processor (Linux 6.6).
const SYNC_WAKE_UP: u64 = 1;

/// The two ends over which a child hands its supervisor what hears of its calls.
pub fn handover() -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
    Ok((ours, theirs))
}

/// In the child, when nothing is left to do but to become the evaluator.
pub fn begin(handover: &OwnedFd) -> anyhow::Result<()> {
    let listener = filter::install().context("the kernel offers no user notification of system calls")?;
    let sent = [listener.as_raw_fd()];
    sendmsg::<()>(handover.as_raw_fd(), &[io::IoSlice::new(b"l")], &[ControlMessage::ScmRights(&sent)], MsgFlags::empty(), None)
        .context("handing over the listener")?;
    Ok(())
}

/// In the parent: what the child sent; `None` if it ended without.
pub fn receive(handover: OwnedFd) -> anyhow::Result<Option<OwnedFd>> {
    let mut byte = [0];
    let mut slices = [IoSliceMut::new(&mut byte)];
    let mut space = nix::cmsg_space!(RawFd);
    let message = recvmsg::<()>(handover.as_raw_fd(), &mut slices, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)
        .context("waiting for the listener")?;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(descriptors) = control
            && let [descriptor] = descriptors[..]
        {
            // SAFETY: the kernel has just made this descriptor for us.
            return Ok(Some(unsafe { OwnedFd::from_raw_fd(descriptor) }));
        }
    }
    Ok(None)
}

pub struct Supervisor {
    listener: OwnedFd,
    /// `/proc` as this process sees it; the evaluator's own may not show this one's numbers.
    proc: File,
    kept: Vec<u8>,
    out: File,
    /// The evaluator itself was executed.
    started: bool,
}

impl Supervisor {
    /// `proc`: `/proc`, opened before the file system changed. Frames go to our standard output.
    pub fn new(listener: OwnedFd, proc: File) -> anyhow::Result<Self> {
        // SAFETY: the argument is a number, by the structure of this request.
        if unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP) } < 0 {
            tracing::debug!("no synchronous wake-up: {}", io::Error::last_os_error());
        }
        let out = File::from(nix::unistd::dup(std::io::stdout()).context("standard output")?);
        Ok(Self { listener, proc, kept: Vec::new(), out, started: false })
    }

    /// Until nobody is left behind the filter.
    pub fn run(mut self) -> anyhow::Result<()> {
        while self.wait()? {
            let Some(call) = self.receive()? else { continue };
            let frames = match self.frames(&call) {
                Ok(frames) => frames,
                // who is gone learns nothing any more
                Err(_) if !self.is_valid(call.id) => continue,
                Err(error) => return Err(error),
            };
            // what was read was its memory, not that of another with the same number
            if !self.is_valid(call.id) {
                continue;
            }
            self.keep(&frames)?;
            self.go_on(call.id)?;
        }
        self.flush()
    }

    /// Whether there is a call to hear of; not any more when all have ended.
    fn wait(&self) -> anyhow::Result<bool> {
        let mut poll = libc::pollfd { fd: self.listener.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        loop {
            // SAFETY: one structure, alive for the call.
            let ready = unsafe { libc::poll(&mut poll, 1, -1) };
            if ready > 0 {
                return Ok(poll.revents & libc::POLLIN != 0);
            }
            let error = io::Error::last_os_error();
            if ready < 0 && error.kind() != io::ErrorKind::Interrupted {
                return Err(error).context("waiting for the evaluator's calls");
            }
        }
    }

    fn receive(&self) -> anyhow::Result<Option<seccomp_notif>> {
        // SAFETY: zero is a valid value of this plain structure, and what the request asks for.
        let mut call: seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: the structure that the request fills in.
        if unsafe { libc::ioctl(self.listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut call) } == 0 {
            return Ok(Some(call));
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            // the caller died meanwhile
            Some(libc::ENOENT | libc::EINTR) => Ok(None),
            _ => Err(error).context("hearing of the evaluator's call"),
        }
    }

    fn is_valid(&self, id: u64) -> bool {
        // SAFETY: a number that the request reads.
        unsafe { libc::ioctl(self.listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const id) == 0 }
    }

    fn go_on(&self, id: u64) -> anyhow::Result<()> {
        let answer = seccomp_notif_resp { id, val: 0, error: 0, flags: libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32 };
        // SAFETY: the structure that the request reads.
        if unsafe { libc::ioctl(self.listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw const answer) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() == Some(libc::ENOENT) { Ok(()) } else { Err(error).context("answering the evaluator's call") }
    }

    fn keep(&mut self, frames: &[Frame]) -> anyhow::Result<()> {
        frames.iter().for_each(|frame| frame.encode(&mut self.kept));
        if self.kept.len() > KEPT_BYTES || frames.iter().any(Frame::is_mark) { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        self.out.write_all(&self.kept).context("writing the trace")?;
        self.kept.clear();
        Ok(())
    }

    /// What a call is about to learn.
    fn frames(&mut self, notification: &seccomp_notif) -> anyhow::Result<Vec<Frame>> {
        let number = i64::from(notification.data.nr);
        let Some(call) = CALLS.iter().find(|call| call.number == number) else {
            return Ok(vec![Frame::Unknown(format!("system call {number}"))]);
        };
        let (meaning, paths) = match call.treatment {
            Treatment::Tell(meaning, paths) => (meaning, paths),
            Treatment::Socket | Treatment::Refuse(_) | Treatment::RefuseBits(..) => (Meaning::Unknown, [].as_slice()),
        };
        if meaning == Meaning::Execute && !std::mem::replace(&mut self.started, true) {
            // the evaluator itself
            return Ok(Vec::new());
        }
        let caller = Caller { notification, proc: &self.proc };
        caller.told(call, meaning, paths)
    }
}

/// The process whose call waits.
struct Caller<'a> {
    notification: &'a seccomp_notif,
    proc: &'a File,
}

/// A path as a call names it.
enum Named {
    /// Absolute.
    Path(Vec<u8>),
    /// No such memory, or an empty text: the call fails, or means a descriptor.
    Nothing,
    Unknown(String),
}

impl Caller<'_> {
    fn told(&self, call: &Call, meaning: Meaning, paths: &[PathArgument]) -> anyhow::Result<Vec<Frame>> {
        let arguments = &self.notification.data.args;
        let unknown = |what: &str| Frame::Unknown(format!("{} {what}", call.name.trim_start_matches("SYS_")));
        if paths.is_empty() {
            return Ok(vec![unknown("")]);
        }
        let mut frames = Vec::new();
        for path in paths {
            let path = match self.path(path)? {
                Named::Path(path) => path,
                Named::Nothing => match meaning {
                    Meaning::Unknown | Meaning::Execute | Meaning::Alias | Meaning::Link => {
                        frames.push(unknown("of a descriptor"));
                        continue;
                    }
                    // its descriptor was opened, which was told; to open or change nothing fails
                    Meaning::Stat(_) | Meaning::Open(_) | Meaning::OpenHow(_) | Meaning::Change => continue,
                },
                Named::Unknown(why) => {
                    frames.push(unknown(&why));
                    continue;
                }
            };
            let seen = |access, follows, path| Frame::Seen { access, follows, path };
            frames.extend(match meaning {
                Meaning::Open(argument) => Some(opened(arguments[argument] as i32, 0, path, &unknown)),
                Meaning::OpenHow(argument) => {
                    let mut how = [0; 24];
                    let read = self.memory(arguments[argument] as usize, &mut how)?;
                    let word = |at: usize| how[at..at + 8].try_into().map_or(0, u64::from_le_bytes);
                    Some(if read == how.len() { opened(word(0) as i32, word(16), path, &unknown) } else { unknown("") })
                }
                Meaning::Stat(follows) => Some(seen(Access::Stat, follows.holds(arguments), path)),
                Meaning::Link => Some(seen(Access::Link, false, path)),
                Meaning::Change => (!is_own_place(&path)).then(|| unknown(&text(&path))),
                Meaning::Alias | Meaning::Unknown | Meaning::Execute => Some(unknown(&text(&path))),
            });
        }
        Ok(frames)
    }

    fn path(&self, argument: &PathArgument) -> anyhow::Result<Named> {
        let arguments = &self.notification.data.args;
        let address = arguments[argument.path] as usize;
        let mut bytes = [0; PATH_BYTES];
        let mut read = 0;
        // a text may end just before a page that isn't there
        while read < PATH_BYTES && !bytes[..read].contains(&0) {
            let page = PAGE_BYTES - (address + read) % PAGE_BYTES;
            let end = PATH_BYTES.min(read + page);
            match self.memory(address + read, &mut bytes[read..end])? {
                0 => return Ok(Named::Nothing),
                more => read += more,
            }
        }
        let Some(end) = bytes[..read].iter().position(|byte| *byte == 0) else {
            return Ok(Named::Unknown("a path too long to be one".into()));
        };
        let path = &bytes[..end];
        if path.is_empty() {
            return Ok(Named::Nothing);
        }
        if path.starts_with(b"/") {
            return Ok(Named::Path(path.to_vec()));
        }
        let directory = match argument.at.map(|at| arguments[at] as i32) {
            None | Some(libc::AT_FDCWD) => "cwd".to_owned(),
            Some(descriptor) => format!("fd/{descriptor}"),
        };
        match self.directory(&directory) {
            Some(mut directory) => {
                directory.push(b'/');
                directory.extend_from_slice(path);
                Ok(Named::Path(directory))
            }
            None => Ok(Named::Unknown(format!("{} from an unknown directory", text(path)))),
        }
    }

    /// Where the current directory or a descriptor of the process leads.
    fn directory(&self, entry: &str) -> Option<Vec<u8>> {
        let link = format!("{}/{entry}", self.notification.pid);
        let path = nix::fcntl::readlinkat(self.proc, Path::new(&link)).ok()?.into_vec();
        // one outside its root, or that was removed, has a remark in its place
        (path.starts_with(b"/") && !path.ends_with(b" (deleted)")).then_some(path)
    }

    /// Reads its memory. Less than was asked for where there is no more, as the kernel itself would find.
    fn memory(&self, address: usize, to: &mut [u8]) -> anyhow::Result<usize> {
        let local = libc::iovec { iov_base: to.as_mut_ptr().cast(), iov_len: to.len() };
        let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: to.len() };
        // SAFETY: `local` is a live buffer; `remote` is an address of another process, which the kernel checks.
        let read = unsafe { libc::process_vm_readv(self.notification.pid as i32, &local, 1, &remote, 1, 0) };
        if read >= 0 {
            return Ok(read as usize);
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() == Some(libc::EFAULT) {
            return Ok(0);
        }
        bail!("the evaluator's memory can't be read: {error}");
    }
}

fn opened(flags: i32, resolve: u64, path: Vec<u8>, unknown: &dyn Fn(&str) -> Frame) -> Frame {
    const WRITES: i32 = libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC | libc::O_APPEND | (libc::O_TMPFILE & !libc::O_DIRECTORY);
    let harmless = is_own_place(&path) || path == b"/dev/null" || path == b"/dev/tty";
    if flags & WRITES != 0 && !harmless {
        return unknown(&format!("{} for writing", text(&path)));
    }
    if resolve != 0 {
        return unknown(&format!("{} with rules of its own", text(&path)));
    }
    let access = if flags & libc::O_DIRECTORY != 0 { Access::Directory } else { Access::Content };
    Frame::Seen { access, follows: flags & libc::O_NOFOLLOW == 0, path }
}

fn is_own_place(path: &[u8]) -> bool {
    let Some(rest) = path.strip_prefix(OWN_PLACE.as_bytes()) else { return false };
    matches!(rest.first(), None | Some(b'/')) && !rest.split(|byte| *byte == b'/').any(|name| name == b"..")
}

fn text(path: &[u8]) -> String {
    Path::new(OsStr::from_bytes(path)).display().to_string()
}
