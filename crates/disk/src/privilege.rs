//! What an engine may not do. It has guests' memory and listens to them, so it keeps no
//! right that it does not need: its own user, no way to gain privileges, a limit of
//! memory of its own, and a list of system calls. What the system refuses is left off,
//! and said in a sentence that `bedplate disk status` shows.

use std::io;

use rustix::fs::{Gid, Uid};
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

/// Memory that an engine may have for itself, in bytes. What is shared, guests' memory
/// and pools in memory, is not counted.
const MEMORY: u64 = 2 << 30;

/// Becomes another user for good. Before any thread is started: the calls are for one
/// thread, and later ones inherit.
pub fn become_user(name: &str) -> io::Result<()> {
    let (uid, gid) = user(name)?;
    set_thread_groups(&[])?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    Ok(())
}

/// Lets the kernel hold as much memory of guests as it is told of, while we may still say
/// so. It holds only what is there anyway, and without it requests cost a little more.
pub fn allow_locked_memory() {
    let limit = Rlimit { current: None, maximum: None };
    if let Err(error) = setrlimit(Resource::Memlock, limit) {
        tracing::debug!(%error, "the limit of locked memory stays as it is");
    }
}

/// A user's numbers, from the system's own list.
pub fn user(name: &str) -> io::Result<(Uid, Gid)> {
    let list = std::fs::read_to_string("/etc/passwd")?;
    let found = list.lines().find_map(|line| {
        let mut fields = line.split(':');
        let here = fields.next()? == name;
        let uid: u32 = fields.nth(1)?.parse().ok()?;
        let gid: u32 = fields.next()?.parse().ok()?;
        here.then_some((Uid::from_raw(uid), Gid::from_raw(gid)))
    });
    found.ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::NotFound,
            format!("there is no user `{name}` on this machine"),
        )
    })
}

/// Gives up what is not needed once everything runs. Says what holds now.
pub fn confine() -> String {
    let mut holds = Vec::new();
    let mut refused = Vec::new();
    let mut note = |what: &str, done: io::Result<()>| match done {
        Ok(()) => holds.push(what.to_owned()),
        Err(error) => refused.push(format!("{what} ({error})")),
    };
    note("no new privileges", set_no_new_privs(true).map_err(Into::into));
    let limit = Rlimit { current: Some(MEMORY), maximum: Some(MEMORY) };
    note("2 GiB of own memory", setrlimit(Resource::Data, limit).map_err(Into::into));
    note("a list of system calls", restrict_calls());
    let user = rustix::process::geteuid();
    let who = if user.is_root() {
        "root".to_owned()
    } else {
        format!("user {user}", user = user.as_raw())
    };
    let mut said = format!("runs as {who}; holds: {}", holds.join(", "));
    if !refused.is_empty() {
        said.push_str(&format!("; refused by the system: {}", refused.join(", ")));
        tracing::warn!("{said}");
    }
    said
}

/// From now on only the calls of the list do something, in all threads. Others fail
/// with EPERM: what is rare and was forgotten must not end every guest's disk.
fn restrict_calls() -> io::Result<()> {
    let rules = CALLS.iter().map(|call| (*call, Vec::new())).collect();
    let otherwise = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let arch = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
    let filter = SeccompFilter::new(rules, otherwise, SeccompAction::Allow, arch);
    let program: BpfProgram =
        filter.map_err(io::Error::other)?.try_into().map_err(io::Error::other)?;
    seccompiler::apply_filter_all_threads(&program).map_err(io::Error::other)
}

/// What an engine calls: no new programs, no other processes, no network but sockets of
/// the kinds that are served, no mounts, modules or clocks.
const CALLS: &[i64] = &[
    // Rings and descriptors.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_close,
    libc::SYS_fcntl,
    libc::SYS_ioctl,
    libc::SYS_ppoll,
    libc::SYS_eventfd2,
    libc::SYS_memfd_create,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_lseek,
    // Files.
    libc::SYS_openat,
    libc::SYS_statx,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_fstatfs,
    libc::SYS_statfs,
    libc::SYS_flock,
    libc::SYS_fallocate,
    libc::SYS_ftruncate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_unlinkat,
    libc::SYS_linkat,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_readlinkat,
    // Sockets.
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept4,
    libc::SYS_connect,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_shutdown,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    // Memory and threads.
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_mlock,
    libc::SYS_munlock,
    libc::SYS_futex,
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_prctl,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_tgkill,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_geteuid,
    libc::SYS_getuid,
    libc::SYS_sysinfo,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_unlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rename,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_link,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lstat,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name() {
        let (uid, gid) = user("root").expect("there is a root");
        assert!(uid.is_root() && gid.is_root());
        user("no-such-user-here").expect_err("nobody");
    }

    #[test]
    fn no_other_program_can_be_started() {
        for call in [libc::SYS_execve, libc::SYS_execveat, libc::SYS_ptrace, libc::SYS_mount] {
            assert!(!CALLS.contains(&call));
        }
    }
}
