//! The walls around an evaluating process. Snowgate starts itself again as `snowgate __confine SPEC`; that process, single-threaded
//! and with nothing of ours in its memory, builds the walls and becomes the evaluator.
//!
//! Full confinement: namespaces of its own for mounts, processes, network, IPC and host name (and users, where we are not root); a
//! file system that holds the tree at one constant path, the store and the evaluator's own program read-only, an empty `/tmp` and
//! nothing else; a user id that owns nothing; no new privileges; limits on memory, processes and core files; the environment of the
//! specification alone. Where the kernel or the system forbids namespaces, the rest of it remains ([`Confinement::Limited`]).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicI32, Ordering};

use anyhow::{Context, bail};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Gid, Uid, chdir, fork, pivot_root, setgid, setgroups, setuid};
use serde::{Deserialize, Serialize};

use super::trace::notify;

/// How much of the confinement this machine offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Confinement {
    Full,
    /// No namespaces: the reason, in one line.
    Limited(String),
}

/// A confined process: what it may see and what it runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Spec {
    /// An empty directory to build the file system on; `None` leaves the machine's own in view.
    pub stage: Option<PathBuf>,
    /// What is seen where, read-only but for sockets. Sources that don't exist are left out.
    pub views: Vec<View>,
    /// Directories without content.
    pub empty: Vec<PathBuf>,
    /// Files shown in place of files that lie in the views: the target must be there, a file, and no link on the way to it. What
    /// stands there is not touched.
    pub copies: Vec<View>,
    /// Whether what the process reads is told on our standard output, in frames. Needs a stage.
    pub trace: bool,
    pub network: bool,
    /// The user id to take on where we are root.
    pub uid: Option<u32>,
    /// Of its data segment, in bytes.
    pub memory_bytes: u64,
    pub urgency: Urgency,
    pub environment: BTreeMap<String, String>,
    pub directory: PathBuf,
    pub program: PathBuf,
    pub arguments: Vec<String>,
}

/// How a process and all that it starts compete for processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Urgency {
    /// Like everybody else.
    Usual,
    /// They take what nobody else wants: builds and reviews don't notice them.
    WhenIdle,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct View {
    pub source: PathBuf,
    pub target: PathBuf,
}

impl View {
    pub fn same(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self { source: path.clone(), target: path }
    }
}

/// The status with which the walls, not the evaluator, failed.
pub const WALLS_FAILED: u8 = 125;

/// The command that runs `spec` behind the walls; `snowgate` is our own program.
pub fn command(snowgate: &Path, spec: &Spec) -> anyhow::Result<Command> {
    let mut command = Command::new(snowgate);
    command.arg("__confine").arg(serde_json::to_string(spec)?).env_clear();
    Ok(command)
}

/// The hidden command: builds the walls and becomes the program. Returns only what went wrong, or the program's own status.
pub fn main(spec: &str) -> ExitCode {
    match serde_json::from_str(spec).context("the specification is not valid").and_then(|spec| confine(&spec)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("snowgate: cannot confine the evaluator: {error:#}");
            ExitCode::from(WALLS_FAILED)
        }
    }
}

fn confine(spec: &Spec) -> anyhow::Result<ExitCode> {
    die_with_parent();
    if spec.urgency == Urgency::WhenIdle {
        yield_to_others();
    }
    // what is built here is for another user to enter, whatever ours keeps to itself
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    let mut listener = None;
    if let Some(stage) = &spec.stage {
        enter_namespaces(spec.network)?;
        let (ours, theirs) =
            if spec.trace { notify::handover().map(|(ours, theirs)| (Some(ours), Some(theirs)))? } else { (None, None) };
        // ours, which knows the child by the number that we know it by
        let proc = fs::File::open("/proc");
        // not before it is known whom to end
        let told_to_end = SigSet::from(Signal::SIGTERM);
        told_to_end.thread_block()?;
        // SAFETY: this process has one thread.
        match unsafe { fork() }.context("fork")? {
            // the child is the first process of its namespace: when it ends, all that it started ends
            ForkResult::Parent { child } => {
                drop(theirs);
                end_child_when_told(child);
                told_to_end.thread_unblock()?;
                return match ours {
                    Some(ours) => supervise(child, ours, proc.context("/proc")?),
                    None => wait(child),
                };
            }
            ForkResult::Child => die_with_parent(),
        }
        told_to_end.thread_unblock()?;
        drop((ours, proc));
        listener = theirs;
        build_file_system(stage, spec)?;
    }
    drop_privileges(spec.uid)?;
    limit(spec.memory_bytes)?;
    chdir(&spec.directory).with_context(|| format!("cannot enter {}", spec.directory.display()))?;
    match (spec.trace, listener) {
        (false, _) => {}
        (true, None) => bail!("without namespaces there is no trace"),
        (true, Some(listener)) => {
            // what the evaluator prints there is not the trace
            let null = fs::OpenOptions::new().write(true).open("/dev/null").context("/dev/null")?;
            nix::unistd::dup2_stdout(null).context("standard output")?;
            notify::begin(&listener)?;
        }
    }
    let error = Command::new(&spec.program).args(&spec.arguments).env_clear().envs(&spec.environment).exec();
    Err(error).with_context(|| format!("cannot run {}", spec.program.display()))
}

/// An evaluator never outlives the Snowgate that started it, even by `kill -9`.
fn die_with_parent() {
    if let Err(error) = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL) {
        tracing::debug!("no parent death signal: {error}");
    }
}

/// SCHED_IDLE (sched(7)), which children inherit; the lowest of the usual priorities where it is refused.
fn yield_to_others() {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the structure outlives the call; 0 is this process.
    if unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) } != 0 {
        tracing::debug!("no SCHED_IDLE: {}", io::Error::last_os_error());
        // SAFETY: no pointers; 0 is this process. Lowering one's own priority is always allowed.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 19) };
    }
}

/// The child, while this process does nothing but wait for it.
static CHILD: AtomicI32 = AtomicI32::new(0);

/// By SIGTERM. What the child used is then known to whoever waits for us, as it would not be if we were killed with it.
fn end_child_when_told(child: nix::unistd::Pid) {
    extern "C" fn end(_: libc::c_int) {
        // SAFETY: kill(2) is safe in a signal handler, and the child was not waited for yet.
        unsafe { libc::kill(CHILD.load(Ordering::Relaxed), libc::SIGKILL) };
    }
    CHILD.store(child.as_raw(), Ordering::Relaxed);
    let action = SigAction::new(SigHandler::Handler(end), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler is safe in a signal.
    if let Err(error) = unsafe { sigaction(Signal::SIGTERM, &action) } {
        tracing::debug!("the evaluator can't be ended in order: {error}");
    }
}

fn wait(child: nix::unistd::Pid) -> anyhow::Result<ExitCode> {
    loop {
        match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, code)) => return Ok(ExitCode::from(u8::try_from(code).unwrap_or(1))),
            // the way a shell reports a signal
            Ok(WaitStatus::Signaled(_, signal, _)) => return Ok(ExitCode::from(128 + signal as u8)),
            Ok(_) | Err(nix::errno::Errno::EINTR) => continue,
            Err(error) => return Err(error).context("waiting for the evaluator"),
        }
    }
}

/// Waits for a child whose reads are traced. Where that fails the child ends: nothing is read that is not told.
fn supervise(child: nix::unistd::Pid, handover: OwnedFd, proc: fs::File) -> anyhow::Result<ExitCode> {
    let told = notify::receive(handover).and_then(|listener| match listener {
        Some(listener) => notify::Supervisor::new(listener, proc)?.run(),
        // its status says why
        None => Ok(()),
    });
    if told.is_err()
        && let Err(error) = nix::sys::signal::kill(child, Signal::SIGKILL)
    {
        tracing::debug!("the evaluator was gone: {error}");
    }
    let code = wait(child)?;
    told.map(|()| code)
}

fn enter_namespaces(network: bool) -> anyhow::Result<()> {
    let mut flags = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS;
    if !network {
        flags |= CloneFlags::CLONE_NEWNET;
    }
    let (uid, gid) = (Uid::current(), Gid::current());
    if uid.is_root() {
        return unshare(flags).context("the kernel refuses namespaces");
    }
    unshare(flags | CloneFlags::CLONE_NEWUSER).context("the kernel refuses user namespaces to an ordinary user")?;
    fs::write("/proc/self/setgroups", "deny").context("/proc/self/setgroups")?;
    fs::write("/proc/self/uid_map", format!("{uid} {uid} 1")).context("/proc/self/uid_map")?;
    fs::write("/proc/self/gid_map", format!("{gid} {gid} 1")).context("/proc/self/gid_map")
}

fn build_file_system(stage: &Path, spec: &Spec) -> anyhow::Result<()> {
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).context("making mounts private")?;
    mount(Some("tmpfs"), stage, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some("mode=0755,size=64m"))
        .with_context(|| format!("mounting on {}", stage.display()))?;
    for directory in ["dev", "proc", "tmp"] {
        fs::create_dir(stage.join(directory))?;
    }
    fs::set_permissions(stage.join("tmp"), fs::Permissions::from_mode(0o1777))?;
    for view in spec.views.iter().chain(["/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"].map(View::same).iter()) {
        show(stage, view)?;
    }
    for directory in &spec.empty {
        fs::create_dir_all(within(stage, directory)).with_context(|| format!("making {}", directory.display()))?;
    }
    for copy in &spec.copies {
        show_instead(stage, copy).with_context(|| format!("showing a copy of {}", copy.target.display()))?;
    }
    // while the machine's own /proc is in sight: without it an ordinary user may not mount another. Nix's collector asks it for its
    // own stack; some containers forbid the mount, and it does without
    let hidden = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    if let Err(error) = mount(Some("proc"), &stage.join("proc"), Some("proc"), hidden, none) {
        tracing::debug!("no /proc for the evaluator: {error}");
    }
    let old = stage.join("old");
    fs::create_dir(&old)?;
    pivot_root(stage, &old).context("changing the root")?;
    chdir("/")?;
    umount2("/old", MntFlags::MNT_DETACH).context("leaving the old root")?;
    fs::remove_dir("/old")?;
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    // /tmp stays writable below the read-only root
    mount(Some("tmpfs"), "/tmp", Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some("mode=1777,size=1g"))
        .context("mounting /tmp")?;
    mount(none, "/", none, flags | MsFlags::MS_RDONLY, none).context("making the root read-only")
}

/// Binds a file or directory into the new root, read-only. A symbolic link is made again, so that `/bin -> usr/bin` keeps its meaning.
fn show(stage: &Path, view: &View) -> anyhow::Result<()> {
    let Ok(metadata) = fs::symlink_metadata(&view.source) else { return Ok(()) };
    let target = within(stage, &view.target);
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
    }
    if metadata.is_symlink() {
        return std::os::unix::fs::symlink(fs::read_link(&view.source)?, &target)
            .with_context(|| format!("linking {}", view.target.display()));
    }
    if metadata.is_dir() {
        fs::create_dir_all(&target)?;
    } else {
        fs::File::create(&target)?;
    }
    // with what is mounted below it: an ordinary user may not uncover what a mount hides
    mount(Some(&view.source), &target, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
        .with_context(|| format!("showing {}", view.source.display()))?;
    make_read_only(&target).with_context(|| format!("making {} read-only", view.target.display()))
}

fn within(stage: &Path, path: &Path) -> PathBuf {
    stage.join(path.strip_prefix("/").unwrap_or(path))
}

/// Binds a file over another one, read-only. The other may lie in a tree that wants to lead us elsewhere: no link is followed.
fn show_instead(stage: &Path, copy: &View) -> anyhow::Result<()> {
    use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let target = openat2(nix::fcntl::AT_FDCWD, &within(stage, &copy.target), how)?;
    if !fs::File::from(target.try_clone()?).metadata()?.is_file() {
        bail!("it is no file");
    }
    let none = None::<&str>;
    let place = format!("/proc/self/fd/{}", target.as_raw_fd());
    mount(Some(&copy.source), place.as_str(), none, MsFlags::MS_BIND, none)?;
    // the descriptor still means what is below
    Ok(make_read_only(&within(stage, &copy.target))?)
}

/// mount_setattr(2): the mount and all below it. Flags that they already have stay.
fn make_read_only(target: &Path) -> io::Result<()> {
    let path = std::ffi::CString::new(target.as_os_str().as_encoded_bytes())?;
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: the path is a C string and the attributes are a whole structure of the size that is named; both outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::AT_RECURSIVE,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn drop_privileges(uid: Option<u32>) -> anyhow::Result<()> {
    if let Some(uid) = uid.filter(|_| Uid::current().is_root()) {
        setgroups(&[]).context("leaving all groups")?;
        setgid(Gid::from_raw(uid)).context("changing the group")?;
        setuid(Uid::from_raw(uid)).context("changing the user")?;
        // a changed user id clears it
        die_with_parent();
        if Uid::current().is_root() {
            bail!("the evaluator would still be root");
        }
    }
    nix::sys::prctl::set_no_new_privs().context("forbidding new privileges")
}

fn limit(memory_bytes: u64) -> io::Result<()> {
    setrlimit(Resource::RLIMIT_DATA, memory_bytes, memory_bytes)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    // what Nix itself asks for; a deep recursion must end in its own message, not in a crash. A smaller hard limit has to do
    const STACK: u64 = 64 << 20;
    setrlimit(Resource::RLIMIT_STACK, STACK, STACK).or(Ok(()))
}

/// Tries the walls once with a program that does nothing.
pub fn probe(snowgate: &Path, spec: &Spec) -> Confinement {
    let tried = command(snowgate, spec).and_then(|mut command| Ok(command.stdin(std::process::Stdio::null()).output()?));
    match tried {
        Ok(output) if output.status.success() => Confinement::Full,
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr);
            let line = text.lines().last().unwrap_or("no reason given");
            Confinement::Limited(line.trim_start_matches("snowgate: cannot confine the evaluator: ").to_owned())
        }
        Err(error) => Confinement::Limited(error.to_string()),
    }
}
