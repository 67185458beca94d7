/* Forking from inside an evaluation. The dynamic linker loads this library into a recording evaluator; it makes a few paths of a
 * directory that is empty mean something, when `builtins.pathExists` looks them up:
 *
 *   PREFIX fork.ID   forks. The child finds no such path and goes on; the parent waits until the child has ended, then finds one.
 *   PREFIX exit      ends a child that was forked so. Elsewhere it means nothing.
 *
 * Every mark is looked up for real as well, before it takes effect, so that who traces this process sees it among its reads. A child
 * that ended otherwise than by `exit` is made known by a look-up of its own, `PREFIX died.ID.HOW`: HOW is the number of the signal
 * that killed it, 256 and its status if it ended by itself, 512 and the error if there was none.
 *
 * PREFIX holds a secret that the evaluated code does not know. It comes in the environment, which is cleared of it.
 *
 * Nothing here needs a C library of a certain age: look-ups are system calls, as they are in the functions that are replaced, and what
 * is called (`fork`, which others hook into) has no version. */

#include <asm/stat.h>
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/stat.h>

#if !defined(__x86_64__) && !defined(__aarch64__)
#error "no such processor is known here"
#endif

#define PUBLIC __attribute__((visibility("default")))

extern int fork(void);
extern int *__errno_location(void);
extern char **environ __attribute__((weak));

enum { ENOENT_ = 2, EINTR_ = 4, GONE = 77, PREFIX_MAX = 256, NAME_MAX_ = 64 };

static char prefix[PREFIX_MAX];
static unsigned long prefix_length;
static int forks; /* above this process */

static long call(long number, long a, long b, long c, long d, long e) {
#if defined(__x86_64__)
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return result;
#else
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
    return x0;
#endif
}

/* The result of a system call as a C function returns it. */
static int answer(long result) {
    if (result >= 0)
        return (int)result;
    *__errno_location() = (int)-result;
    return -1;
}

static int begins(const char *text, const char *with, unsigned long length) {
    for (unsigned long i = 0; i < length; i++)
        if (text[i] != with[i])
            return 0;
    return 1;
}

static unsigned long length_of(const char *text) {
    unsigned long length = 0;
    while (text[length])
        length++;
    return length;
}

static char *put(char *to, const char *text) {
    while (*text)
        *to++ = *text++;
    return to;
}

static char *put_number(char *to, unsigned number) {
    char digits[12];
    int count = 0;
    do
        digits[count++] = (char)('0' + number % 10);
    while (number /= 10);
    while (count)
        *to++ = digits[--count];
    return to;
}

static void look_up(const char *path) {
    struct stat unused;
    call(__NR_newfstatat, AT_FDCWD, (long)path, (long)&unused, AT_SYMLINK_NOFOLLOW, 0);
}

static void died(const char *id, unsigned how) {
    char path[PREFIX_MAX + NAME_MAX_ + 32];
    char *end = put(put(put(path, prefix), "died."), id);
    *end++ = '.';
    *put_number(end, how) = 0;
    look_up(path);
}

static void wait_for(long child, const char *id) {
    int status = 0;
    long waited;
    do
        waited = call(__NR_wait4, child, (long)&status, 0, 0, 0);
    while (waited == -EINTR_);
    int signal = status & 0x7f, code = (status >> 8) & 0xff;
    if (waited != child)
        died(id, 512 + (unsigned)-waited);
    else if (signal)
        died(id, (unsigned)signal);
    else if (code != GONE)
        died(id, 256 + (unsigned)code);
}

enum mark { NONE, ABSENT, PRESENT };

/* What a looker is to believe of a path that is a mark. */
static enum mark mark(const char *path) {
    if (!prefix_length || !path || !begins(path, prefix, prefix_length))
        return NONE;
    const char *name = path + prefix_length;
    if (begins(name, "fork.", 5) && length_of(name) < NAME_MAX_) {
        look_up(path);
        int child = fork();
        if (child == 0) {
            forks++;
            return ABSENT;
        }
        if (child < 0)
            died(name + 5, 512 + (unsigned)*__errno_location());
        else
            wait_for(child, name + 5);
        return PRESENT;
    }
    if (forks && begins(name, "exit", 5)) {
        look_up(path);
        for (;;)
            call(__NR_exit_group, GONE, 0, 0, 0, 0);
    }
    return NONE;
}

static int stat_at(int directory, const char *path, void *buffer, int flags) {
    enum mark what = mark(path);
    if (what == NONE)
        return answer(call(__NR_newfstatat, directory, (long)path, (long)buffer, flags, 0));
    if (what == ABSENT)
        return answer(-ENOENT_);
    for (unsigned long i = 0; i < sizeof(struct stat); i++)
        ((char *)buffer)[i] = 0;
    ((struct stat *)buffer)->st_mode = S_IFREG | 0444;
    ((struct stat *)buffer)->st_nlink = 1;
    return 0;
}

PUBLIC int lstat(const char *path, void *buffer) { return stat_at(AT_FDCWD, path, buffer, AT_SYMLINK_NOFOLLOW); }
PUBLIC int lstat64(const char *path, void *buffer) { return stat_at(AT_FDCWD, path, buffer, AT_SYMLINK_NOFOLLOW); }
PUBLIC int fstatat(int directory, const char *path, void *buffer, int flags) { return stat_at(directory, path, buffer, flags); }
PUBLIC int fstatat64(int directory, const char *path, void *buffer, int flags) { return stat_at(directory, path, buffer, flags); }

/* What programs call that were built with a glibc older than 2.33; these processors have one version of the structure only. */
PUBLIC int __lxstat(int version, const char *path, void *buffer) {
    (void)version;
    return lstat(path, buffer);
}
PUBLIC int __lxstat64(int version, const char *path, void *buffer) {
    (void)version;
    return lstat(path, buffer);
}
PUBLIC int __fxstatat(int version, int directory, const char *path, void *buffer, int flags) {
    (void)version;
    return stat_at(directory, path, buffer, flags);
}
PUBLIC int __fxstatat64(int version, int directory, const char *path, void *buffer, int flags) {
    (void)version;
    return stat_at(directory, path, buffer, flags);
}

PUBLIC int statx(int directory, const char *path, int flags, unsigned mask, struct statx *buffer) {
    enum mark what = mark(path);
    if (what == NONE)
        return answer(call(__NR_statx, directory, (long)path, flags, mask, (long)buffer));
    if (what == ABSENT)
        return answer(-ENOENT_);
    for (unsigned long i = 0; i < sizeof *buffer; i++)
        ((char *)buffer)[i] = 0;
    buffer->stx_mask = STATX_TYPE | STATX_MODE | STATX_NLINK;
    buffer->stx_mode = S_IFREG | 0444;
    buffer->stx_nlink = 1;
    return 0;
}

/* A clock that is behind: what an attribute makes of the time is something else in a recording than in a plain evaluation, so that it is
 * evaluated each time. This catches what no look at the code does; a deadline that is still to come it does not. It is behind by so
 * much that another year, another leap year, and any other day of the week, hour, minute and second are seen. */
PUBLIC long time(long *also) {
    enum { DAYS = 1000, SECONDS_OF_A_DAY = 86400, AND_SECONDS = 5 * 3600 + 17 * 60 + 23 };
    long now[2] = {0, 0};
    call(__NR_clock_gettime, 0, (long)now, 0, 0, 0);
    long then = now[0] - (long)DAYS * SECONDS_OF_A_DAY - AND_SECONDS;
    if (also)
        *also = then;
    return then;
}

/* Takes NAME=… out of the environment, from the memory that /proc/self/environ shows as well. */
static char *take(char **environment, const char *name, char *to, unsigned long room) {
    char *found = 0;
    unsigned long length = length_of(name);
    char **kept = environment;
    for (char **at = environment; *at; at++) {
        if (!begins(*at, name, length)) {
            *kept++ = *at;
            continue;
        }
        unsigned long size = length_of(*at);
        if (to && size - length < room) {
            *put(to, *at + length) = 0;
            found = to;
        }
        for (unsigned long i = 0; i < size; i++)
            ((volatile char *)*at)[i] = 0;
    }
    *kept = 0;
    return found;
}

__attribute__((constructor)) static void begin(int count, char **arguments, char **environment) {
    (void)count;
    (void)arguments;
    /* glibc hands over the environment; its own variable may not be set yet. musl sets the variable and hands over nothing. */
    char **where = &environ && environ ? environ : environment;
    if (take(where, "SNOWGATE_MARKS=", prefix, PREFIX_MAX))
        prefix_length = length_of(prefix);
    take(where, "LD_PRELOAD=", 0, 0);
}
