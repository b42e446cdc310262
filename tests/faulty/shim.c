/* Preloaded before the C library: the n-th call that changes files below a folder fails, or ends the process there.

   Python, DuckDB, Arrow, torch and safetensors all write through these functions. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static char folder[4096];
static size_t folder_length;
static long fail_at, fail_number, fail_onward, fail_kill;
static atomic_long calls;

/* Fail call `at`, counted from 1 (0: only count) with this errno; `onward`: all writes after it, too; `kill`: exit. */
void fault_arm(const char *path, long at, long number, long onward, long kill) {
    snprintf(folder, sizeof folder, "%s", path);
    folder_length = strlen(folder);
    fail_at = at, fail_number = number, fail_onward = onward, fail_kill = kill;
    atomic_store(&calls, 0);
}

long fault_calls(void) { return atomic_load(&calls); }

static int below(const char *path) { return folder_length && path && !strncmp(path, folder, folder_length); }

static int holds(int descriptor) {
    char link[64], target[4096];
    if (!folder_length) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, target, sizeof target - 1);
    if (length < 0) return 0;
    target[length] = 0;
    return below(target);
}

static int fails(int counted, int is_write) {
    if (!counted) return 0;
    long call = atomic_fetch_add(&calls, 1) + 1;
    if (!fail_at || call < fail_at || (call > fail_at && !(fail_onward && is_write))) return 0;
    if (fail_kill) _exit(137);
    errno = (int)fail_number;
    return 1;
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static int writes(int flags) { return (flags & O_CREAT) || (flags & O_ACCMODE) != O_RDONLY; }

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        va_list list; va_start(list, flags); mode_t mode = va_arg(list, mode_t); va_end(list); \
        return fails(writes(flags) && below(path), 1) ? -1 : real(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
    int name(int at, const char *path, int flags, ...) { \
        REAL(name); \
        va_list list; va_start(list, flags); mode_t mode = va_arg(list, mode_t); va_end(list); \
        return fails(writes(flags) && below(path), 1) ? -1 : real(at, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)

#define FOPEN(name) \
    FILE *name(const char *path, const char *mode) { \
        REAL(name); \
        return fails(below(path) && strpbrk(mode, "wa+"), 1) ? NULL : real(path, mode); \
    }
FOPEN(fopen)
FOPEN(fopen64)

ssize_t write(int d, const void *bytes, size_t size) { REAL(write); return fails(holds(d), 1) ? -1 : real(d, bytes, size); }
ssize_t pwrite(int d, const void *bytes, size_t size, off_t at) {
    REAL(pwrite); return fails(holds(d), 1) ? -1 : real(d, bytes, size, at);
}
ssize_t pwrite64(int d, const void *bytes, size_t size, off64_t at) {
    REAL(pwrite64); return fails(holds(d), 1) ? -1 : real(d, bytes, size, at);
}
ssize_t writev(int d, const struct iovec *parts, int count) {
    REAL(writev); return fails(holds(d), 1) ? -1 : real(d, parts, count);
}
int ftruncate(int d, off_t size) { REAL(ftruncate); return fails(holds(d), 1) ? -1 : real(d, size); }
int ftruncate64(int d, off64_t size) { REAL(ftruncate64); return fails(holds(d), 1) ? -1 : real(d, size); }
int fallocate(int d, int mode, off_t at, off_t size) {
    REAL(fallocate); return fails(holds(d), 1) ? -1 : real(d, mode, at, size);
}
int fsync(int d) { REAL(fsync); return fails(holds(d), 1) ? -1 : real(d); }
int fdatasync(int d) { REAL(fdatasync); return fails(holds(d), 1) ? -1 : real(d); }
int rename(const char *from, const char *to) { REAL(rename); return fails(below(to), 0) ? -1 : real(from, to); }
int renameat(int a, const char *from, int b, const char *to) {
    REAL(renameat); return fails(below(to), 0) ? -1 : real(a, from, b, to);
}
int mkdir(const char *path, mode_t mode) { REAL(mkdir); return fails(below(path), 1) ? -1 : real(path, mode); }
