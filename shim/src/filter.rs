//! The filter of system calls: which the kernel answers by itself, and that all others ask the supervisor.
//!
//! Pure: makes a program for the kernel's packet filter machine. Calls that are let through touch only the caller's own
//! memory and signal masks, give the same answers in every run, and never block.

use syscalls::Sysno;

/// Calls that the kernel answers by itself.
pub(crate) const NATIVE: [Sysno; 29] = [
    Sysno::mmap,
    Sysno::munmap,
    Sysno::mprotect,
    Sysno::mremap,
    Sysno::madvise,
    Sysno::brk,
    Sysno::msync,
    Sysno::mlock,
    Sysno::munlock,
    Sysno::rt_sigaction,
    Sysno::rt_sigprocmask,
    Sysno::rt_sigreturn,
    Sysno::rt_sigpending,
    Sysno::sigaltstack,
    Sysno::arch_prctl,
    Sysno::set_robust_list,
    Sysno::get_robust_list,
    Sysno::getpid,
    Sysno::getppid,
    Sysno::gettid,
    Sysno::getpgrp,
    Sysno::getuid,
    Sysno::geteuid,
    Sysno::getgid,
    Sysno::getegid,
    Sysno::getresuid,
    Sysno::getresgid,
    Sysno::restart_syscall,
    Sysno::umask,
];

/// `AUDIT_ARCH_X86_64` of `linux/audit.h`.
const ARCHITECTURE: u32 = 0xC000_003E;
// Places in `struct seccomp_data`.
const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// The program that lets `native` calls through and notifies of all others.
pub(crate) fn program(native: &[Sysno]) -> Vec<libc::sock_filter> {
    let step = |code, k, jt, jf| libc::sock_filter { code, jt, jf, k };
    let mut program = vec![
        step(LOAD, ARCHITECTURE_AT, 0, 0),
        step(IF_EQUAL, ARCHITECTURE, 1, 0),
        step(RETURN, libc::SECCOMP_RET_KILL_PROCESS, 0, 0),
        step(LOAD, NUMBER_AT, 0, 0),
    ];
    for (at, call) in native.iter().enumerate() {
        // A hit jumps over the other comparisons and the notification.
        let over = native.len() - at;
        program.push(step(IF_EQUAL, call.id() as u32, u8::try_from(over).expect("the list is short"), 0));
    }
    program.push(step(RETURN, libc::SECCOMP_RET_USER_NOTIF, 0, 0));
    program.push(step(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0));
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the machine of the kernel does with `program`, for the few instructions that are used.
    fn interpret(program: &[libc::sock_filter], architecture: u32, number: u32) -> u32 {
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let libc::sock_filter { code, jt, jf, k } = program[at];
            at += 1;
            let jump = |holds: bool| usize::from(if holds { jt } else { jf });
            match code {
                LOAD if k == NUMBER_AT => accumulator = number,
                LOAD if k == ARCHITECTURE_AT => accumulator = architecture,
                IF_EQUAL => at += jump(accumulator == k),
                RETURN => return k,
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    #[test]
    fn only_the_list_is_let_through() {
        let program = program(&NATIVE);
        for number in 0..512 {
            let native = NATIVE.iter().any(|call| call.id() as u32 == number);
            let wanted = if native { libc::SECCOMP_RET_ALLOW } else { libc::SECCOMP_RET_USER_NOTIF };
            assert_eq!(interpret(&program, ARCHITECTURE, number), wanted, "call {number}");
        }
    }

    #[test]
    fn other_interfaces_are_closed() {
        let program = program(&NATIVE);
        assert_eq!(interpret(&program, 0x4000_0003, 1), libc::SECCOMP_RET_KILL_PROCESS);
        // The x32 interface has the same architecture, and a bit in its numbers: no such number is on the list.
        for call in NATIVE {
            let number = 0x4000_0000 | call.id() as u32;
            assert_eq!(interpret(&program, ARCHITECTURE, number), libc::SECCOMP_RET_USER_NOTIF, "call {number:#x}");
        }
    }
}
