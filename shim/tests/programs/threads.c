/* Eight threads pass a counter around under a mutex and a condition variable, with sleeps and timed waits between. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 8, ROUNDS = 6 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn = PTHREAD_COND_INITIALIZER;
static int order[THREADS * ROUNDS], count;

static void *work(void *argument) {
    long id = (long)argument;
    for (int round = 0; round < ROUNDS; round++) {
        struct timespec pause = {0, 1000000 * ((id * 7 + round) % 3)};
        nanosleep(&pause, NULL);
        pthread_mutex_lock(&lock);
        order[count++] = id;
        pthread_cond_broadcast(&turn);
        if (round % 2) {
            struct timespec until;
            clock_gettime(CLOCK_REALTIME, &until);
            until.tv_nsec += 500000;
            if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
            pthread_cond_timedwait(&turn, &lock, &until);
        }
        pthread_mutex_unlock(&lock);
        /* Without a system call in between, who is first depends on the processor alone. */
        for (volatile int spin = 0; spin < 20000; spin++) {}
    }
    return NULL;
}

int main(void) {
    pthread_t threads[THREADS];
    for (long id = 0; id < THREADS; id++) pthread_create(&threads[id], NULL, work, (void *)id);
    for (int id = 0; id < THREADS; id++) pthread_join(threads[id], NULL);
    for (int i = 0; i < count; i++) printf("%d ", order[i]);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    printf("\n%ld.%09ld pid %d\n", (long)now.tv_sec, now.tv_nsec, getpid());
    return 0;
}
