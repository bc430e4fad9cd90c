/* A wall clock that can be moved while programs run, on Linux with glibc; wallclock.py builds and moves it.
 *
 * Loaded into a program by LD_PRELOAD, it adds what the file named by WALLCLOCK_FILE holds, nanoseconds in 8 bytes,
 * to CLOCK_REALTIME. Clocks that only measure how long something takes are left alone, as they are when a machine
 * sleeps and wakes up. So are the times that the kernel gives to files.
 *
 * With WALLCLOCK_ONLY it holds in Lambda functions alone whose name has that text in it: they inherit the emulator's
 * environment.
 */
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
/* A deadline later than this, in seconds, is no time since the machine's start: it is on CLOCK_REALTIME. */
#define EPOCH_TIME 1000000000LL

static volatile long long *offset;

__attribute__((constructor)) static void init(void)
{
    const char *path = getenv("WALLCLOCK_FILE");
    const char *only = getenv("WALLCLOCK_ONLY");
    const char *function = getenv("AWS_LAMBDA_FUNCTION_NAME");
    if (only && !(function && strstr(function, only)))
        return;
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *shared = mmap(0, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
    if (shared != MAP_FAILED)
        offset = shared;
    close(file);
}

static void moved(const struct timespec *from, long long by, struct timespec *to)
{
    long long sum = from->tv_sec * SECOND + from->tv_nsec + by;
    to->tv_sec = sum / SECOND;
    to->tv_nsec = sum % SECOND;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int answer = real ? real(clock, now) : (int)syscall(SYS_clock_gettime, clock, now);
    if (answer == 0 && offset && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        moved(now, *offset, now);
    return answer;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec precise;
    (void)zone;
    int answer = clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return answer;
}

time_t time(time_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}

/* The kernel waits by its own clock, so a deadline on the moved one goes back by as much. */
static const struct timespec *kernels(const struct timespec *deadline, struct timespec *own)
{
    if (!offset || deadline->tv_sec < EPOCH_TIME)
        return deadline;
    moved(deadline, -*offset, own);
    return own;
}

int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *deadline)
{
    static int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    struct timespec own;
    if (!real)
        /* On x86-64 the name alone may find the oldest version, which takes another kind of condition. */
        real = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    if (!real)
        real = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    return real(condition, mutex, kernels(deadline, &own));
}

int sem_timedwait(sem_t *semaphore, const struct timespec *deadline)
{
    static int (*real)(sem_t *, const struct timespec *);
    struct timespec own;
    if (!real)
        real = dlsym(RTLD_NEXT, "sem_timedwait");
    return real(semaphore, kernels(deadline, &own));
}
