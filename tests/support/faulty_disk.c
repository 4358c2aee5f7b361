/* Preloaded into a process, makes one call to the file system fail, or kills the process at it.

   Counted are calls that change something below one folder. fault_arm(folder, at, action) begins anew: the call
   number `at` (from 1) fails with the error `action`, or ends the process where `action` is -9, a write after half of
   it was done. A full disk (ENOSPC) stays full: every later call that needs room fails as well. With at = 0 calls are
   only counted; fault_count() tells how many there were. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char folder[4096];
static long armed_at = -1, counted = 0;
static int armed_action = 0;

void fault_arm(const char *where, long at, int action) {
    strncpy(folder, where, sizeof folder - 1);
    armed_at = at, armed_action = action, counted = 0;
}

void fault_disarm(void) { armed_at = -1; }

long fault_count(void) { return counted; }

#define REAL(result, name, ...) \
    static result (*real)(__VA_ARGS__); \
    if (!real) real = (result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

static int is_below(const char *path) { return path && strncmp(path, folder, strlen(folder)) == 0; }

static int fd_is_below(int fd) {
    char name[64], path[4096];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(name, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return is_below(path);
}

static int at_is_below(int fd, const char *path) {
    return path && path[0] != '/' && fd != AT_FDCWD ? fd_is_below(fd) : is_below(path);
}

/* 0 to go on, 1 to fail; half is a way to do the half of a write. */
static int due(int below, int needs_room, int half_fd, const void *half, size_t size) {
    if (armed_at < 0 || !below) return 0;
    counted++;
    if (armed_at == 0) return 0;
    int now = counted == armed_at;
    if (now && armed_action == -9) {
        if (half && size > 1) {
            REAL(ssize_t, write, int, const void *, size_t);
            if (real(half_fd, half, size / 2) < 0) _exit(99);
        }
        kill(getpid(), SIGKILL);
    }
    if (now || (armed_action == ENOSPC && needs_room && counted > armed_at)) {
        if (armed_action == ENOSPC && !needs_room) {
            /* Such a call never lacks room: the next one that does fails. */
            return 0;
        }
        errno = armed_action;
        return 1;
    }
    return 0;
}

#define PLAIN(below, room) due(below, room, -1, NULL, 0)

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(int, name, const char *, int, ...); \
        va_list more; va_start(more, flags); mode_t mode = va_arg(more, int); va_end(more); \
        if ((flags & (O_CREAT | O_WRONLY | O_RDWR)) && PLAIN(is_below(path), flags & O_CREAT)) return -1; \
        return real(path, flags, mode); \
    }
OPEN(open) OPEN(open64)

#define OPENAT(name) \
    int name(int fd, const char *path, int flags, ...) { \
        REAL(int, name, int, const char *, int, ...); \
        va_list more; va_start(more, flags); mode_t mode = va_arg(more, int); va_end(more); \
        if ((flags & (O_CREAT | O_WRONLY | O_RDWR)) && PLAIN(at_is_below(fd, path), flags & O_CREAT)) return -1; \
        return real(fd, path, flags, mode); \
    }
OPENAT(openat) OPENAT(openat64)

#define ONE(name, type, below, room, parameters, arguments) \
    type name parameters { \
        static type (*real) parameters; \
        if (!real) real = (type (*) parameters)dlsym(RTLD_NEXT, #name); \
        if (PLAIN(below, room)) return -1; \
        return real arguments; \
    }
ONE(mkdir, int, is_below(path), 1, (const char *path, mode_t mode), (path, mode))
ONE(mkdirat, int, at_is_below(fd, path), 1, (int fd, const char *path, mode_t mode), (fd, path, mode))
ONE(rename, int, is_below(one), 0, (const char *one, const char *two), (one, two))
ONE(renameat, int, at_is_below(a, one), 0, (int a, const char *one, int b, const char *two), (a, one, b, two))
ONE(renameat2, int, at_is_below(a, one), 0, (int a, const char *one, int b, const char *two, unsigned int flags),
    (a, one, b, two, flags))
ONE(unlink, int, is_below(path), 0, (const char *path), (path))
ONE(unlinkat, int, at_is_below(fd, path), 0, (int fd, const char *path, int flags), (fd, path, flags))
ONE(rmdir, int, is_below(path), 0, (const char *path), (path))
ONE(fsync, int, fd_is_below(fd), 0, (int fd), (fd))
ONE(fdatasync, int, fd_is_below(fd), 0, (int fd), (fd))
ONE(ftruncate, int, fd_is_below(fd), 1, (int fd, off_t size), (fd, size))
ONE(ftruncate64, int, fd_is_below(fd), 1, (int fd, off64_t size), (fd, size))
ONE(chmod, int, is_below(path), 0, (const char *path, mode_t mode), (path, mode))
ONE(fchmod, int, fd_is_below(fd), 0, (int fd, mode_t mode), (fd, mode))
ONE(chown, int, is_below(path), 0, (const char *path, uid_t user, gid_t group), (path, user, group))
ONE(writev, ssize_t, fd_is_below(fd), 1, (int fd, const struct iovec *parts, int count), (fd, parts, count))
ONE(pwrite, ssize_t, fd_is_below(fd), 1, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at))
ONE(pwrite64, ssize_t, fd_is_below(fd), 1, (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at))

ssize_t write(int fd, const void *data, size_t size) {
    REAL(ssize_t, write, int, const void *, size_t);
    if (armed_at >= 0 && due(fd_is_below(fd), 1, fd, data, size)) return -1;
    return real(fd, data, size);
}

/* These two return the error. */
int posix_fallocate(int fd, off_t start, off_t length) {
    REAL(int, posix_fallocate, int, off_t, off_t);
    return PLAIN(fd_is_below(fd), 1) ? errno : real(fd, start, length);
}

int posix_fallocate64(int fd, off64_t start, off64_t length) {
    REAL(int, posix_fallocate64, int, off64_t, off64_t);
    return PLAIN(fd_is_below(fd), 1) ? errno : real(fd, start, length);
}
