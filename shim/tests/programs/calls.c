/* Makes many calls, or many reads of the clock, as the arguments say. With "traced" it asks its parent to trace it first. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv) {
    long count = argc > 2 ? atol(argv[2]) : 0;
    if (argc > 1 && !strcmp(argv[1], "traced")) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
    }
    if (argc > 1 && !strcmp(argv[1], "clock")) {
        struct timespec now;
        for (long i = 0; i < count; i++) clock_gettime(CLOCK_MONOTONIC, &now);
    } else {
        for (long i = 0; i < count; i++) syscall(SYS_getpriority, 0, 0);
    }
    _exit(0);
}
