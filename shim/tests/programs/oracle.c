/* Sockets, epoll, pipes, timers, futexes, signals: what is printed must be the same natively and hosted. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SHOW(call) show(#call, (long)(call))

static void show(const char *what, long result) {
    int error = errno;
    printf("%-60.60s %ld%s%s\n", what, result, result < 0 ? " " : "", result < 0 ? strerrorname_np(error) : "");
}

static void section(const char *name) { printf("-- %s\n", name); }

static struct sockaddr_in here(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static short ready(int fd) {
    struct pollfd entry = {fd, POLLIN | POLLOUT | POLLRDHUP, 0};
    poll(&entry, 1, 0);
    return entry.revents;
}

static void settle(void) { usleep(20000); }

static void pipes(void) {
    section("pipes");
    int ends[2], other;
    char buffer[70000] = {0};
    SHOW(pipe2(ends, O_NONBLOCK | O_CLOEXEC));
    printf("%d %d\n", ends[0], ends[1]);
    SHOW(read(ends[0], buffer, 10));
    SHOW(ready(ends[0]));
    SHOW(ready(ends[1]));
    SHOW(write(ends[1], "hello", 5));
    SHOW(ready(ends[0]));
    SHOW(ioctl(ends[0], FIONREAD, &other));
    SHOW(other);
    SHOW(read(ends[0], buffer, 3));
    SHOW(read(ends[0], buffer, 10));
    SHOW(write(ends[1], buffer, 70000));
    SHOW(write(ends[1], buffer, 10));
    SHOW(ready(ends[1]));
    SHOW(read(ends[0], buffer, 70000));
    SHOW(write(ends[0], "x", 1));
    SHOW(read(ends[1], buffer, 1));
    SHOW(other = dup(ends[1]));
    SHOW(close(ends[1]));
    SHOW(read(ends[0], buffer, 10));
    SHOW(close(other));
    SHOW(read(ends[0], buffer, 10));
    SHOW(ready(ends[0]));
    SHOW(close(ends[0]));
    SHOW(close(ends[0]));
    SHOW(pipe(ends));
    SHOW(fcntl(ends[0], F_GETFL));
    SHOW(fcntl(ends[1], F_GETFL));
    SHOW(close(ends[0]));
    signal(SIGPIPE, SIG_IGN);
    SHOW(write(ends[1], "x", 1));
    SHOW(ready(ends[1]));
    SHOW(lseek(ends[1], 0, SEEK_SET));
    SHOW(close(ends[1]));
}

static void counters(void) {
    section("eventfd");
    unsigned long long value = 5;
    int fd;
    SHOW(fd = eventfd(0, EFD_NONBLOCK));
    SHOW(read(fd, &value, 8));
    SHOW(ready(fd));
    value = 3;
    SHOW(write(fd, &value, 8));
    SHOW(write(fd, &value, 8));
    SHOW(ready(fd));
    SHOW(read(fd, &value, 8));
    SHOW(value);
    value = -2ULL;
    SHOW(write(fd, &value, 8));
    SHOW(ready(fd));
    value = 1;
    SHOW(write(fd, &value, 8));
    SHOW(write(fd, &value, 4));
    SHOW(close(fd));
    SHOW(fd = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK));
    SHOW(read(fd, &value, 8));
    SHOW(value);
    SHOW(read(fd, &value, 8));
    SHOW(read(fd, &value, 8));
    SHOW(close(fd));
}

static void timers(void) {
    section("timerfd");
    unsigned long long value = 0;
    int fd;
    struct itimerspec setting = {{0, 10000000}, {0, 10000000}}, left;
    SHOW(fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
    SHOW(read(fd, &value, 8));
    SHOW(timerfd_settime(fd, 0, &setting, NULL));
    SHOW(ready(fd));
    usleep(15000);
    SHOW(ready(fd));
    SHOW(read(fd, &value, 8));
    SHOW(value);
    SHOW(timerfd_gettime(fd, &left));
    SHOW(left.it_interval.tv_nsec);
    memset(&setting, 0, sizeof setting);
    SHOW(timerfd_settime(fd, 0, &setting, &left));
    usleep(20000);
    SHOW(read(fd, &value, 8));
    SHOW(close(fd));
}

static void epolls(void) {
    section("epoll");
    int ep, ends[2], n;
    struct epoll_event event, events[8];
    char buffer[16];
    SHOW(ep = epoll_create1(EPOLL_CLOEXEC));
    SHOW(pipe2(ends, O_NONBLOCK));
    event = (struct epoll_event){EPOLLIN, {.u64 = 7}};
    SHOW(epoll_ctl(ep, EPOLL_CTL_MOD, ends[0], &event));
    SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, ends[0], &event));
    SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, ends[0], &event));
    SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, ep, &event));
    SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, 99, &event));
    SHOW(epoll_wait(ep, events, 8, 0));
    SHOW(epoll_wait(ep, events, 0, 0));
    section("level");
    SHOW(write(ends[1], "abc", 3));
    SHOW(n = epoll_wait(ep, events, 8, 0));
    printf("%x %d\n", events[0].events, (int)events[0].data.u64);
    SHOW(epoll_wait(ep, events, 8, 0));
    SHOW(ready(ep));
    section("edge");
    event.events = EPOLLIN | EPOLLET;
    SHOW(epoll_ctl(ep, EPOLL_CTL_MOD, ends[0], &event));
    SHOW(epoll_wait(ep, events, 8, 0));
    SHOW(epoll_wait(ep, events, 8, 0));
    SHOW(write(ends[1], "d", 1));
    SHOW(epoll_wait(ep, events, 8, 0));
    SHOW(read(ends[0], buffer, 2));
    SHOW(epoll_wait(ep, events, 8, 0));
    SHOW(read(ends[0], buffer, 16));
    SHOW(write(ends[1], "e", 1));
    SHOW(epoll_wait(ep, events, 8, 0));
    section("once");
    event.events = EPOLLIN | EPOLLONESHOT;
    SHOW(epoll_ctl(ep, EPOLL_CTL_MOD, ends[0], &event));
    SHOW(epoll_wait(ep, events, 8, 0));
    SHOW(write(ends[1], "f", 1));
    SHOW(epoll_wait(ep, events, 8, 0));
    SHOW(epoll_ctl(ep, EPOLL_CTL_MOD, ends[0], &event));
    SHOW(epoll_wait(ep, events, 8, 0));
    section("hang-up");
    event.events = EPOLLIN | EPOLLRDHUP;
    SHOW(epoll_ctl(ep, EPOLL_CTL_MOD, ends[0], &event));
    SHOW(read(ends[0], buffer, 16));
    SHOW(close(ends[1]));
    SHOW(epoll_wait(ep, events, 8, 0));
    printf("%x\n", events[0].events);
    SHOW(close(ends[0]));
    SHOW(epoll_wait(ep, events, 8, 10));
    SHOW(close(ep));
}

static void options(int fd) {
    struct linger linger = {1, 7}, found = {0, 0};
    int value = 1;
    socklen_t length = sizeof found;
    SHOW(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
    SHOW(getsockopt(fd, SOL_SOCKET, SO_LINGER, &found, &length));
    printf("%d %d %d\n", (int)length, found.l_onoff, found.l_linger);
    linger.l_onoff = 0;
    SHOW(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
    SHOW(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, sizeof value));
    value = 0, length = sizeof value;
    SHOW(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &length));
    printf("%d %d\n", (int)length, value);
    SHOW(setsockopt(fd, SOL_SOCKET, 9999, &value, sizeof value));
    SHOW(getsockopt(fd, SOL_SOCKET, 9999, &value, &length));
    SHOW(setsockopt(fd, IPPROTO_TCP, 9999, &value, sizeof value));
    SHOW(getsockopt(fd, IPPROTO_TCP, 9999, &value, &length));
}

static void streams(void) {
    section("tcp");
    int server, client, peer, value, one = 1, ep;
    socklen_t length = sizeof value;
    struct sockaddr_in address = here(23456), name;
    struct epoll_event event = {EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, {.u64 = 1}}, events[4];
    char buffer[64];
    SHOW(server = socket(AF_INET, SOCK_STREAM, 0));
    SHOW(setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
    options(server);
    SHOW(accept(server, NULL, NULL));
    SHOW(bind(server, (void *)&address, sizeof address));
    SHOW(bind(server, (void *)&address, sizeof address));
    SHOW(listen(server, 5));
    SHOW(getsockopt(server, SOL_SOCKET, SO_ACCEPTCONN, &value, &length));
    SHOW(value);
    SHOW(client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    SHOW(ready(client));
    SHOW(send(client, "x", 1, MSG_NOSIGNAL));
    SHOW(recv(client, buffer, 1, 0));
    value = connect(client, (void *)&address, sizeof address);
    printf("%d\n", value == 0 || errno == EINPROGRESS);
    settle();
    SHOW(getsockopt(client, SOL_SOCKET, SO_ERROR, &value, &length));
    SHOW(value);
    SHOW(ready(client));
    SHOW(ready(server));
    SHOW(connect(client, (void *)&address, sizeof address) < 0 && errno != EISCONN);
    length = sizeof name;
    SHOW(peer = accept4(server, (void *)&name, &length, SOCK_NONBLOCK));
    printf("%s %d\n", inet_ntoa(name.sin_addr), length);
    length = sizeof name;
    SHOW(getpeername(client, (void *)&name, &length));
    printf("%s %d\n", inet_ntoa(name.sin_addr), ntohs(name.sin_port));
    SHOW(ep = epoll_create1(0));
    SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, peer, &event));
    SHOW(epoll_wait(ep, events, 4, 0));
    printf("%x\n", events[0].events);
    SHOW(epoll_wait(ep, events, 4, 0));
    SHOW(recv(peer, buffer, 10, 0));
    SHOW(send(client, "hello", 5, 0));
    settle();
    SHOW(epoll_wait(ep, events, 4, 0));
    printf("%x\n", events[0].events);
    SHOW(recv(peer, buffer, 10, MSG_PEEK));
    SHOW(recv(peer, buffer, 2, 0));
    SHOW(ioctl(peer, FIONREAD, &value));
    SHOW(value);
    SHOW(recv(peer, buffer, 10, 0));
    SHOW(shutdown(client, SHUT_WR));
    SHOW(send(client, "x", 1, MSG_NOSIGNAL));
    settle();
    SHOW(ready(peer));
    SHOW(epoll_wait(ep, events, 4, 0));
    printf("%x\n", events[0].events);
    SHOW(recv(peer, buffer, 10, 0));
    struct iovec parts[2] = {{"wor", 3}, {"ld", 2}};
    SHOW(writev(peer, parts, 2));
    settle();
    SHOW(recv(client, buffer, 64, 0));
    SHOW(close(peer));
    settle();
    SHOW(recv(client, buffer, 64, 0));
    SHOW(ready(client));
    SHOW(close(client));
    SHOW(close(ep));
    section("reset");
    SHOW(client = socket(AF_INET, SOCK_STREAM, 0));
    SHOW(connect(client, (void *)&address, sizeof address));
    SHOW(peer = accept(server, NULL, NULL));
    SHOW(send(client, "unread", 6, 0));
    settle();
    SHOW(close(peer));
    settle();
    SHOW(recv(client, buffer, 10, 0));
    SHOW(recv(client, buffer, 10, 0));
    SHOW(send(client, "x", 1, MSG_NOSIGNAL));
    SHOW(close(client));
    SHOW(close(server));
    section("long");
    static char large[200000];
    SHOW(server = socket(AF_INET, SOCK_STREAM, 0));
    /* Connections of an earlier run may still hold the port. */
    SHOW(setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
    address.sin_port = htons(23459);
    SHOW(bind(server, (void *)&address, sizeof address));
    SHOW(listen(server, 5));
    SHOW(client = socket(AF_INET, SOCK_STREAM, 0));
    SHOW(connect(client, (void *)&address, sizeof address));
    SHOW(peer = accept(server, NULL, NULL));
    SHOW(send(client, large, sizeof large, 0));
    settle();
    SHOW(recv(peer, large, sizeof large, MSG_WAITALL));
    SHOW(close(peer));
    SHOW(close(client));
    SHOW(close(server));
    address.sin_port = htons(23456);
    section("refused");
    SHOW(client = socket(AF_INET, SOCK_STREAM, 0));
    SHOW(connect(client, (void *)&address, sizeof address));
    SHOW(close(client));
    SHOW(client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    connect(client, (void *)&address, sizeof address);
    settle();
    SHOW(ready(client) & (POLLERR | POLLHUP));
    length = sizeof value;
    SHOW(getsockopt(client, SOL_SOCKET, SO_ERROR, &value, &length));
    SHOW(value);
    SHOW(close(client));
    section("timeouts");
    struct timeval timeout = {0, 20000};
    SHOW(server = socket(AF_INET, SOCK_STREAM, 0));
    SHOW(setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
    SHOW(setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout));
    address.sin_port = htons(23457);
    SHOW(bind(server, (void *)&address, sizeof address));
    SHOW(listen(server, 1));
    SHOW(accept(server, NULL, NULL));
    SHOW(close(server));
}

static void datagrams(void) {
    section("udp");
    int a, b, value;
    struct sockaddr_in address = here(23458), name;
    socklen_t length = sizeof name;
    char buffer[16];
    SHOW(a = socket(AF_INET, SOCK_DGRAM, 0));
    SHOW(b = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0));
    SHOW(bind(a, (void *)&address, sizeof address));
    SHOW(bind(b, (void *)&address, sizeof address));
    SHOW(recvfrom(b, buffer, 4, 0, NULL, NULL));
    SHOW(send(b, "x", 1, 0));
    SHOW(sendto(b, "hello", 5, 0, (void *)&address, sizeof address));
    SHOW(ready(a));
    SHOW(ioctl(a, FIONREAD, &value));
    SHOW(value);
    SHOW(recvfrom(a, buffer, 3, 0, (void *)&name, &length));
    printf("%s %d\n", inet_ntoa(name.sin_addr), length);
    SHOW(sendto(a, "", 0, 0, (void *)&name, sizeof name));
    SHOW(recv(b, buffer, 3, 0));
    SHOW(connect(b, (void *)&address, sizeof address));
    SHOW(send(b, "y", 1, 0));
    SHOW(recv(a, buffer, 16, MSG_PEEK));
    SHOW(recv(a, buffer, 16, 0));
    SHOW(close(a));
    SHOW(send(b, "z", 1, 0));
    SHOW(recv(b, buffer, 16, 0));
    char large[70000];
    memset(large, 0, sizeof large);
    SHOW(send(b, large, sizeof large, 0));
    SHOW(close(b));
}

static void within(void) {
    section("unix");
    int pair[2];
    char buffer[16];
    struct sockaddr_un address = {AF_UNIX, "\0oracle"};
    SHOW(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair));
    SHOW(read(pair[0], buffer, 4));
    SHOW(write(pair[0], "abcdef", 6));
    SHOW(read(pair[1], buffer, 4));
    SHOW(shutdown(pair[0], SHUT_WR));
    SHOW(read(pair[1], buffer, 4));
    SHOW(read(pair[1], buffer, 4));
    SHOW(write(pair[1], "back", 4));
    SHOW(close(pair[1]));
    SHOW(read(pair[0], buffer, 16));
    SHOW(read(pair[0], buffer, 16));
    SHOW(close(pair[0]));
    SHOW(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    SHOW(write(pair[0], "one", 3));
    SHOW(write(pair[0], "three", 5));
    SHOW(read(pair[1], buffer, 2));
    SHOW(read(pair[1], buffer, 16));
    SHOW(close(pair[0]));
    SHOW(close(pair[1]));
    int server, client, peer;
    SHOW(server = socket(AF_UNIX, SOCK_STREAM, 0));
    SHOW(client = socket(AF_UNIX, SOCK_STREAM, 0));
    SHOW(connect(client, (void *)&address, sizeof address));
    SHOW(bind(server, (void *)&address, sizeof address));
    SHOW(listen(server, 1));
    SHOW(connect(client, (void *)&address, sizeof address));
    SHOW(peer = accept(server, NULL, NULL));
    SHOW(write(client, "hi", 2));
    SHOW(read(peer, buffer, 16));
    SHOW(close(server));
    SHOW(close(client));
    SHOW(read(peer, buffer, 16));
    SHOW(close(peer));
}

static void sets(void) {
    section("select");
    int ends[2];
    fd_set reads, writes;
    struct timeval timeout = {0, 10000};
    SHOW(pipe(ends));
    FD_ZERO(&reads);
    FD_ZERO(&writes);
    FD_SET(ends[0], &reads);
    FD_SET(ends[1], &writes);
    SHOW(select(ends[1] + 1, &reads, &writes, NULL, &timeout));
    SHOW(FD_ISSET(ends[0], &reads));
    SHOW(FD_ISSET(ends[1], &writes));
    FD_ZERO(&reads);
    FD_SET(ends[0], &reads);
    SHOW(select(ends[1] + 1, &reads, NULL, NULL, &timeout));
    FD_ZERO(&reads);
    /* Below 64: of a number beyond the table of descriptors the kernel's select takes no notice, and how long the
       table is depends on what the parent had open. */
    FD_SET(50, &reads);
    SHOW(select(51, &reads, NULL, NULL, &timeout));
    struct pollfd bad = {50, POLLIN, 0};
    SHOW(poll(&bad, 1, 0));
    SHOW(bad.revents);
    SHOW(close(ends[0]));
    SHOW(close(ends[1]));
}

static int word;

static void *waker(void *unused) {
    (void)unused;
    usleep(10000);
    word = 1;
    SHOW(syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1));
    return NULL;
}

static void futexes(void) {
    section("futex");
    pthread_t thread;
    struct timespec timeout = {0, 10000000};
    SHOW(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 5, NULL));
    SHOW(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &timeout));
    SHOW(syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1));
    SHOW(syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, 0));
    pthread_create(&thread, NULL, waker, NULL);
    long result = syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL);
    pthread_join(thread, NULL);
    SHOW(result);
    SHOW(syscall(SYS_futex, &word, FUTEX_CMP_REQUEUE_PRIVATE, 1, 1, &timeout, 7));
}

static volatile sig_atomic_t caught;
static void handler(int number) { caught = caught * 100 + number; }

static void signals(void) {
    section("signals");
    struct sigaction action = {.sa_handler = handler};
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGALRM, &action, NULL);
    SHOW(kill(getpid(), SIGUSR1));
    SHOW(caught);
    caught = 0;
    sigset_t set;
    sigemptyset(&set), sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    SHOW(raise(SIGUSR1));
    SHOW(caught);
    struct timespec none = {0, 0};
    SHOW(sigtimedwait(&set, NULL, &none));
    SHOW(sigtimedwait(&set, NULL, &none));
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    struct itimerval timer = {{0, 0}, {0, 10000}};
    setitimer(ITIMER_REAL, &timer, NULL);
    SHOW(pause());
    SHOW(caught);
    caught = 0;
    setitimer(ITIMER_REAL, &timer, NULL);
    SHOW(usleep(5000000));
    SHOW(caught);
    section("children");
    int status, ends[2];
    char buffer[16];
    SHOW(pipe(ends));
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        close(ends[0]);
        write(ends[1], "child", 5);
        _exit(9);
    }
    close(ends[1]);
    SHOW(read(ends[0], buffer, 16));
    SHOW(read(ends[0], buffer, 16));
    SHOW(waitpid(child, &status, 0) == child);
    SHOW(WEXITSTATUS(status));
    SHOW(waitpid(-1, &status, 0));
    child = fork();
    if (!child) for (;;) pause();
    SHOW(waitpid(child, &status, WNOHANG));
    SHOW(kill(child, SIGTERM));
    SHOW(waitpid(child, &status, 0) == child);
    SHOW(WTERMSIG(status));
    SHOW(kill(child, 0));
    close(ends[0]);
}

static void descriptors(void) {
    section("descriptors");
    int fd, ends[2];
    struct stat status;
    SHOW(fd = open("file", O_RDWR | O_CREAT | O_TRUNC, 0644));
    SHOW(pipe(ends));
    SHOW(dup(fd));
    SHOW(dup2(ends[0], 20));
    SHOW(dup3(fd, 20, O_CLOEXEC));
    SHOW(fcntl(20, F_GETFD));
    SHOW(fcntl(fd, F_DUPFD, 10));
    SHOW(close(ends[0]));
    SHOW(open("file", O_RDONLY));
    SHOW(write(fd, "0123456789", 10));
    SHOW(lseek(fd, 2, SEEK_SET));
    SHOW(fstat(fd, &status));
    SHOW(status.st_size);
    SHOW(S_ISREG(status.st_mode));
    SHOW(fstat(ends[1], &status));
    SHOW(S_ISFIFO(status.st_mode));
    SHOW(open("missing", O_RDONLY));
    /* Of a file system only what all have in common: how full it is, programs are told by a constant. */
    struct statfs system;
    SHOW(statfs("file", &system));
    SHOW(system.f_bfree <= system.f_blocks && system.f_blocks > 0 && system.f_namelen > 0 && system.f_bsize > 0);
    SHOW(statfs("missing", &system));
    SHOW(fstatfs(fd, &system));
    SHOW(system.f_frsize > 0);
    SHOW(fstatfs(ends[1], &system));
    SHOW(fstatfs(99, &system));
    SHOW(statfs("file", (void *)8));
    SHOW(unlink("file"));
    SHOW(syscall(SYS_close_range, 3, ~0U, 0));
    SHOW(close(fd));
    SHOW(open("/dev/null", O_RDONLY));
    SHOW(close(3));
}

int main(void) {
    /* What whoever started this has left open would change the numbers of new descriptors. */
    syscall(SYS_close_range, 3, ~0U, 0);
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    pipes();
    counters();
    timers();
    epolls();
    streams();
    datagrams();
    within();
    sets();
    futexes();
    signals();
    descriptors();
    return 0;
}
