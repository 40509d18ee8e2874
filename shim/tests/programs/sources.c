/* Prints one source of non-determinism, named by the argument. */
#define _GNU_SOURCE
#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <sys/wait.h>
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

static void text(const char *path) {
    char bytes[4096];
    int fd = open(path, O_RDONLY);
    ssize_t length = read(fd, bytes, sizeof bytes);
    if (length > 0) fwrite(bytes, 1, (size_t)length, stdout);
    close(fd);
}

/* A function of the vDSO, looked up as a loader does; NULL if this kernel has none such. */
static void *vdso(const char *wanted) {
    const char *base = (const char *)getauxval(AT_SYSINFO_EHDR);
    if (!base) return NULL;
    const Elf64_Ehdr *head = (const void *)base;
    const Elf64_Phdr *part = (const void *)(base + head->e_phoff);
    const Elf64_Sym *symbols = NULL;
    const char *names = NULL;
    const uint32_t *hash = NULL;
    for (int i = 0; i < head->e_phnum; i++) {
        if (part[i].p_type != PT_DYNAMIC) continue;
        for (const Elf64_Dyn *entry = (const void *)(base + part[i].p_offset); entry->d_tag != DT_NULL; entry++) {
            if (entry->d_tag == DT_SYMTAB) symbols = (const void *)(base + entry->d_un.d_ptr);
            if (entry->d_tag == DT_STRTAB) names = base + entry->d_un.d_ptr;
            if (entry->d_tag == DT_HASH) hash = (const void *)(base + entry->d_un.d_ptr);
        }
    }
    if (!symbols || !names || !hash) return NULL;
    for (uint32_t i = 0; i < hash[1]; i++)
        if (!strcmp(names + symbols[i].st_name, wanted)) return (void *)(base + symbols[i].st_value);
    return NULL;
}

#define THREADS 6
static int word;
static struct timespec due;

/* Sleeps on a futex, and prints its number when it is woken. */
static void *sleeper(void *number) {
    syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    printf("%ld ", (long)number);
    return NULL;
}

/* Prints its number at a moment that is the same for all. */
static void *timer(void *number) {
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
    printf("%ld ", (long)number);
    return NULL;
}

static void threads(void *(*body)(void *), int wake) {
    pthread_t all[THREADS];
    for (long i = 0; i < THREADS; i++) pthread_create(&all[i], NULL, body, (void *)i);
    for (int i = 0; wake && i < THREADS; i++) {
        usleep(10000);
        syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
    for (int i = 0; i < THREADS; i++) pthread_join(all[i], NULL);
    printf("\n");
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
    } else if (!strcmp(what, "vdso-random")) {
        ssize_t (*random)(void *, size_t, unsigned, void *, size_t) = vdso("__vdso_getrandom");
        uint32_t parameters[16] = {0};
        char bytes[16] = {0};
        if (random) random(NULL, 0, 0, parameters, ~0UL);
        void *state = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        /* Its first parameter is the size of the state; a kernel without it, and one that does not say, are asked directly. */
        if (!random || !parameters[0] || random(bytes, 16, 0, state, parameters[0]) != 16) getrandom(bytes, 16, 0);
        hex(bytes, 16);
        printf("%s\n", random ? "by the vDSO" : "by a call");
    } else if (!strcmp(what, "processes")) {
        pid_t child = fork();
        if (!child) _exit(0);
        waitpid(child, NULL, 0);
        printf("%d %d\n", (int)getpid(), (int)child);
    } else if (!strcmp(what, "names")) {
        struct utsname names;
        uname(&names);
        printf("%s %s %s\n", names.nodename, names.release, names.version);
    } else if (!strcmp(what, "environment")) {
        for (char **variable = environ; *variable; variable++) puts(*variable);
    } else if (!strcmp(what, "limits")) {
        for (int resource = 0; resource < RLIM_NLIMITS; resource++) {
            struct rlimit limit;
            getrlimit(resource, &limit);
            printf("%llu %llu\n", (unsigned long long)limit.rlim_cur, (unsigned long long)limit.rlim_max);
        }
    } else if (!strcmp(what, "descriptors")) {
        for (int i = 0; i < 200; i++) printf("%d ", dup(0));
        printf("\n");
    } else if (!strcmp(what, "ports")) {
        for (int i = 0; i < 4; i++) {
            struct sockaddr_in name = {.sin_family = AF_INET};
            socklen_t length = sizeof name;
            int fd = socket(AF_INET, SOCK_DGRAM, 0);
            bind(fd, (struct sockaddr *)&name, length);
            getsockname(fd, (struct sockaddr *)&name, &length);
            printf("%d ", ntohs(name.sin_port));
        }
        printf("\n");
    } else if (!strcmp(what, "wakes")) {
        threads(sleeper, 1);
    } else if (!strcmp(what, "deadlines")) {
        clock_gettime(CLOCK_MONOTONIC, &due);
        due.tv_sec += 1;
        threads(timer, 0);
    } else if (!strcmp(what, "events")) {
        int set = epoll_create1(0);
        struct epoll_event events[8];
        for (int i = 0; i < 8; i++) {
            struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
            epoll_ctl(set, EPOLL_CTL_ADD, eventfd(1, 0), &event);
        }
        int count = epoll_wait(set, events, 8, 0);
        for (int i = 0; i < count; i++) printf("%u ", events[i].data.u32);
        printf("\n");
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
    } else if (!strcmp(what, "process-files")) {
        text("/proc/self/stat");
        text("/proc/thread-self/status");
        text("/proc/self/statm");
        text("/proc/self/cgroup");
    } else if (!strcmp(what, "file-system")) {
        struct statfs status;
        statfs(".", &status);
        printf("%lx %lu %lu %lu\n", (long)status.f_type, (long)status.f_blocks, (long)status.f_bfree, (long)status.f_ffree);
    } else if (!strcmp(what, "directory")) {
        DIR *directory = opendir(".");
        for (struct dirent *entry; (entry = readdir(directory));) printf("%s ", entry->d_name);
        printf("\n");
    }
    return 0;
}
