//! The code that takes the place of the kernel's vDSO in a program: position-independent, it answers from a page of times
//! that lies right behind it, and which the supervisor writes from outside.
//!
//! Functions follow the C calling convention; they change only registers that a call may change.

use std::arch::global_asm;

global_asm!(
    ".pushsection .rodata.tidelock_vdso_stub, \"a\", @progbits",
    // Global, since the functions below may be compiled into another object than this text.
    ".globl tidelock_stub",
    ".hidden tidelock_stub",
    ".globl tidelock_stub_clock_gettime",
    ".hidden tidelock_stub_clock_gettime",
    ".globl tidelock_stub_gettimeofday",
    ".hidden tidelock_stub_gettimeofday",
    ".globl tidelock_stub_time",
    ".hidden tidelock_stub_time",
    ".globl tidelock_stub_getcpu",
    ".hidden tidelock_stub_getcpu",
    ".globl tidelock_stub_getrandom",
    ".hidden tidelock_stub_getrandom",
    ".globl tidelock_stub_clock_getres",
    ".hidden tidelock_stub_clock_getres",
    ".globl tidelock_stub_times",
    ".hidden tidelock_stub_times",
    ".globl tidelock_stub_end",
    ".hidden tidelock_stub_end",
    ".balign 8",
    "tidelock_stub:",
    // int clock_gettime(clockid_t, struct timespec *)
    "tidelock_stub_clock_gettime:",
    "cmp edi, 11",
    "ja 3f",
    "mov eax, 0xD2", // MONOTONIC, MONOTONIC_RAW, MONOTONIC_COARSE, BOOTTIME
    "bt eax, edi",
    "jc 1f",
    "mov eax, 0x821", // REALTIME, REALTIME_COARSE, TAI
    "bt eax, edi",
    "jc 2f",
    "3: mov eax, 228", // Clocks of processes and threads: ask.
    "syscall",
    "ret",
    "1: mov rax, [rip + tidelock_stub_times]",
    "mov rdx, [rip + tidelock_stub_times + 8]",
    "jmp 4f",
    "2: mov rax, [rip + tidelock_stub_times + 16]",
    "mov rdx, [rip + tidelock_stub_times + 24]",
    "4: mov [rsi], rax",
    "mov [rsi + 8], rdx",
    "xor eax, eax",
    "ret",
    // int gettimeofday(struct timeval *, struct timezone *)
    "tidelock_stub_gettimeofday:",
    "test rdi, rdi",
    "jz 1f",
    "mov rax, [rip + tidelock_stub_times + 16]",
    "mov [rdi], rax",
    "mov rax, [rip + tidelock_stub_times + 32]",
    "mov [rdi + 8], rax",
    "1: test rsi, rsi",
    "jz 2f",
    "mov qword ptr [rsi], 0", // Greenwich, no summer time
    "2: xor eax, eax",
    "ret",
    // time_t time(time_t *)
    "tidelock_stub_time:",
    "mov rax, [rip + tidelock_stub_times + 16]",
    "test rdi, rdi",
    "jz 1f",
    "mov [rdi], rax",
    "1: ret",
    // int getcpu(unsigned *processor, unsigned *node, void *)
    "tidelock_stub_getcpu:",
    "xor eax, eax",
    "test rdi, rdi",
    "jz 1f",
    "mov [rdi], eax",
    "1: test rsi, rsi",
    "jz 2f",
    "mov [rsi], eax",
    "2: ret",
    // ssize_t getrandom(…): not here; the C library then makes the system call.
    "tidelock_stub_getrandom:",
    "mov rax, -38",
    "ret",
    // int clock_getres(clockid_t, struct timespec *)
    "tidelock_stub_clock_getres:",
    "mov eax, 229",
    "syscall",
    "ret",
    ".balign 8",
    // Monotonic seconds and nanoseconds; real seconds, nanoseconds and microseconds.
    "tidelock_stub_times:",
    ".quad 0, 0, 0, 0, 0",
    "tidelock_stub_end:",
    ".popsection",
);

unsafe extern "C" {
    static tidelock_stub: u8;
    static tidelock_stub_clock_gettime: u8;
    static tidelock_stub_gettimeofday: u8;
    static tidelock_stub_time: u8;
    static tidelock_stub_getcpu: u8;
    static tidelock_stub_getrandom: u8;
    static tidelock_stub_clock_getres: u8;
    static tidelock_stub_times: u8;
    static tidelock_stub_end: u8;
}

fn offset(label: *const u8) -> usize {
    label as usize - &raw const tidelock_stub as usize
}

/// The bytes of the stub.
pub(crate) fn code() -> &'static [u8] {
    let length = offset(&raw const tidelock_stub_end);
    // SAFETY: the labels bound one run of initialised, constant bytes.
    unsafe { std::slice::from_raw_parts(&raw const tidelock_stub, length) }
}

/// Where the times lie in [`code`]: five words.
pub(crate) fn times() -> usize {
    offset(&raw const tidelock_stub_times)
}

/// Names of functions of the vDSO, with the places in [`code`] that stand for them.
pub(crate) fn entries() -> [(&'static str, usize); 6] {
    [
        ("__vdso_clock_gettime", offset(&raw const tidelock_stub_clock_gettime)),
        ("__vdso_gettimeofday", offset(&raw const tidelock_stub_gettimeofday)),
        ("__vdso_time", offset(&raw const tidelock_stub_time)),
        ("__vdso_getcpu", offset(&raw const tidelock_stub_getcpu)),
        ("__vdso_getrandom", offset(&raw const tidelock_stub_getrandom)),
        ("__vdso_clock_getres", offset(&raw const tidelock_stub_clock_getres)),
    ]
}
