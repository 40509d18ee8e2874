/* Ends in the way that the argument names. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    if (!strcmp(what, "abort")) abort();
    if (!strcmp(what, "segfault")) *(volatile int *)8 = 1;
    if (!strcmp(what, "divide")) { volatile int zero = 0; return 7 / zero; }
    if (!strcmp(what, "spin")) for (;;) {}
    if (!strcmp(what, "exec")) {
        execl("/nowhere/at-all", "at-all", NULL);
        printf("%s\n", strerror(errno));
        return 7;
    }
    if (!strcmp(what, "unsupported")) {
        long result = syscall(SYS_quotactl, 0, 0, 0, 0);
        printf("%ld %s\n", result, strerror(errno));
        syscall(SYS_quotactl, 0, 0, 0, 0);
        printf("%ld\n", syscall(SYS_bpf, 0, 0, 0));
        printf("%ld\n", syscall(SYS_io_uring_setup, 1, 0));
        printf("%ld\n", syscall(SYS_userfaultfd, 0));
        printf("%ld\n", syscall(SYS_ptrace, 0, 0, 0, 0));
        printf("%ld\n", syscall(SYS_mount, 0, 0, 0, 0, 0));
        /* A number that no call has, and a call of the other interface of this architecture. */
        printf("%ld\n", syscall(1000));
        printf("%ld\n", syscall(0x40000000 | SYS_getpid));
        /* Answered as by a kernel that has none of it: neither is a refusal. */
        printf("%ld\n", syscall(SYS_membarrier, 0, 0, 0));
        result = syscall(SYS_membarrier, 1, 0, 0);
        printf("%ld %s\n", result, strerror(errno));
        result = syscall(SYS_rseq, 0, 0, 0, 0);
        printf("%ld %s\n", result, strerror(errno));
        return 0;
    }
    if (!strcmp(what, "write-host")) {
        FILE *file = fopen("/etc/tidelock-was-here", "w");
        printf("%s\n", file ? "written" : strerror(errno));
        return 0;
    }
    if (!strcmp(what, "children")) {
        for (int i = 0; i < 4; i++) if (!fork()) for (;;) pause();
        return 5;
    }
    if (!strcmp(what, "forever")) for (;;) pause();
    return 3;
}
