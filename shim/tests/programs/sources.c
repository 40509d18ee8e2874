/* Prints one source of non-determinism, named by the argument. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

static void hex(const void *bytes, size_t length) {
    for (size_t i = 0; i < length; i++) printf("%02x", ((const unsigned char *)bytes)[i]);
    printf("\n");
}

static void file(const char *path) {
    char bytes[64] = {0};
    int fd = open(path, O_RDONLY);
    ssize_t length = read(fd, bytes, 36);
    hex(bytes, length < 0 ? 0 : (size_t)length);
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    struct timespec time;
    if (!strcmp(what, "vdso")) {
        struct timeval day;
        unsigned cpu;
        clock_gettime(CLOCK_MONOTONIC, &time);
        gettimeofday(&day, NULL);
        getcpu(&cpu, NULL);
        printf("%ld %ld %ld %ld %ld\n", (long)time.tv_sec, time.tv_nsec, (long)day.tv_sec, (long)day.tv_usec, (long)cpu);
    } else if (!strcmp(what, "time-call")) {
        syscall(SYS_clock_gettime, CLOCK_REALTIME, &time);
        printf("%ld %ld\n", (long)time.tv_sec, time.tv_nsec);
    } else if (!strcmp(what, "rdtsc")) {
        unsigned processor;
        printf("%llu ", (unsigned long long)__rdtsc());
        printf("%llu\n", (unsigned long long)__rdtscp(&processor));
    } else if (!strcmp(what, "auxiliary")) {
        hex((void *)getauxval(AT_RANDOM), 16);
    } else if (!strcmp(what, "getrandom")) {
        char bytes[16];
        getrandom(bytes, sizeof bytes, 0);
        hex(bytes, sizeof bytes);
    } else if (!strcmp(what, "urandom")) {
        file("/dev/urandom");
    } else if (!strcmp(what, "uuid")) {
        file("/proc/sys/kernel/random/uuid");
    } else if (!strcmp(what, "addresses")) {
        int local;
        printf("%p %p %p %p\n", (void *)&local, (void *)main, malloc(1), (void *)printf);
    } else if (!strcmp(what, "processors")) {
        cpu_set_t set;
        CPU_ZERO(&set);
        sched_getaffinity(0, sizeof set, &set);
        printf("%d\n", CPU_COUNT(&set));
        hex(&set, 8);
    } else if (!strcmp(what, "status")) {
        struct stat status;
        stat("b", &status);
        printf("%ld %ld %ld\n", (long)status.st_dev, (long)status.st_ino, (long)status.st_mtim.tv_nsec);
    } else if (!strcmp(what, "directory")) {
        DIR *directory = opendir(".");
        for (struct dirent *entry; (entry = readdir(directory));) printf("%s ", entry->d_name);
        printf("\n");
    }
    return 0;
}
