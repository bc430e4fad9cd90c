/* Moves the wall clock of one process, never the machine's: LD_PRELOAD it.
 *
 * $WALLCLOCK_FILE has 8 bytes, little endian: nanoseconds to add. Overwriting them in place moves the clock of a
 * program that runs. With $WALLCLOCK_ONLY it holds in Lambda functions alone whose name has that text in it: they
 * inherit the emulator's environment. Monotonic clocks stay; deadlines on the wall clock are given back the truth. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL

static volatile long long *offset;

__attribute__((constructor)) static void init(void)
{
    const char *path = getenv("WALLCLOCK_FILE");
    const char *only = getenv("WALLCLOCK_ONLY");
    const char *function = getenv("AWS_LAMBDA_FUNCTION_NAME");
    int file;
    if (only && !(function && strstr(function, only)))
        return;
    if (path && (file = open(path, O_RDONLY | O_CLOEXEC)) >= 0) {
        void *mapped = mmap(0, 8, PROT_READ, MAP_SHARED, file, 0);
        if (mapped != MAP_FAILED)
            offset = mapped;
        close(file);
    }
}

static void move(struct timespec *time, long long by)
{
    long long moved = time->tv_sec * SECOND + time->tv_nsec + by;
    time->tv_sec = moved / SECOND;
    time->tv_nsec = moved % SECOND;
}

static int (*real_gettime)(clockid_t, struct timespec *);

int clock_gettime(clockid_t clock, struct timespec *time)
{
    int result;
    if (!real_gettime)
        real_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    result = real_gettime ? real_gettime(clock, time) : (int)syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && offset && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        move(time, *offset);
    return result;
}

int gettimeofday(struct timeval *restrict value, void *restrict zone)
{
    struct timespec now;
    int result = clock_gettime(CLOCK_REALTIME, &now);
    (void)zone;
    value->tv_sec = now.tv_sec;
    value->tv_usec = now.tv_nsec / 1000;
    return result;
}

time_t time(time_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}

/* A deadline that looks like an epoch time is on the wall clock. */
static const struct timespec *given_back(const struct timespec *deadline, struct timespec *room)
{
    if (!offset || deadline->tv_sec < SECOND)
        return deadline;
    *room = *deadline;
    move(room, -*offset);
    return room;
}

int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *deadline)
{
    static int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    struct timespec room;
    if (!real)
        real = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    return real(condition, mutex, given_back(deadline, &room));
}

int sem_timedwait(sem_t *semaphore, const struct timespec *deadline)
{
    static int (*real)(sem_t *, const struct timespec *);
    struct timespec room;
    if (!real)
        real = dlsym(RTLD_NEXT, "sem_timedwait");
    return real(semaphore, given_back(deadline, &room));
}
