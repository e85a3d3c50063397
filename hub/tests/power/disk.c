// A disk that keeps a diary: what is written to files below one folder, and what was synced, in the order in which it
// happened. Preloaded into a program (`LD_PRELOAD`), it does what is asked of it and notes it besides.
//
// DISK_ROOT: the folder. DISK_DIARY: the diary, which stands elsewhere. DISK_BROKEN: while this file exists, no sync
// succeeds. An entry is a head, the path and the bytes.
// A write is noted before it is done, and a sync when it begins and when it has ended: what was noted before the
// beginning of a sync that ended is on the disk, and of the rest nobody knows.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 1, SYNC_BEGINS = 2, SYNC_ENDS = 3, TRUNCATE = 4, UNLINK = 5 };

struct head {
    uint32_t kind, path;
    uint64_t thread, offset, bytes;
};

static const char *root;
static size_t root_bytes;
static int diary = -1;

__attribute__((constructor)) static void begin(void) {
    root = getenv("DISK_ROOT");
    const char *path = getenv("DISK_DIARY");
    if (!root || !path) return;
    root_bytes = strlen(root);
    diary = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

static void note(uint32_t kind, const char *path, uint64_t offset, const void *data, uint64_t bytes) {
    struct head head = {kind, (uint32_t)strlen(path), (uint64_t)syscall(SYS_gettid), offset, bytes};
    struct iovec parts[3] = {{&head, sizeof head}, {(void *)path, head.path}, {(void *)data, data ? bytes : 0}};
    // One call appends it whole.
    syscall(SYS_writev, diary, parts, 3);
}

// The path of an open file, if it stands below the folder.
static const char *path_of(int file, char *at, size_t room) {
    if (diary < 0 || file == diary) return NULL;
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t bytes = readlink(link, at, room - 1);
    if (bytes <= 0) return NULL;
    at[bytes] = 0;
    return strncmp(at, root, root_bytes) == 0 ? at : NULL;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void note_write(int file, const void *data, size_t bytes, off_t offset) {
    char at[4096];
    const char *path = path_of(file, at, sizeof at);
    if (path) note(WRITE, path, (uint64_t)offset, data, bytes);
}

ssize_t pwrite(int file, const void *data, size_t bytes, off_t offset) {
    note_write(file, data, bytes, offset);
    return NEXT(pwrite)(file, data, bytes, offset);
}

ssize_t pwrite64(int file, const void *data, size_t bytes, off64_t offset) {
    note_write(file, data, bytes, offset);
    return NEXT(pwrite64)(file, data, bytes, offset);
}

ssize_t write(int file, const void *data, size_t bytes) {
    // Of what is appended the place is where the file ends, or where it was read to.
    char at[4096];
    const char *path = path_of(file, at, sizeof at);
    if (path) {
        int is_appended = fcntl(file, F_GETFL) & O_APPEND;
        note(WRITE, path, (uint64_t)lseek(file, 0, is_appended ? SEEK_END : SEEK_CUR), data, bytes);
    }
    return NEXT(write)(file, data, bytes);
}

static int sync_with(int file, int (*sync)(int)) {
    char at[4096];
    const char *path = path_of(file, at, sizeof at);
    if (!path) return sync(file);
    const char *broken = getenv("DISK_BROKEN");
    if (broken && access(broken, F_OK) == 0) {
        errno = EIO;
        return -1;
    }
    note(SYNC_BEGINS, path, 0, NULL, 0);
    int result = sync(file);
    if (result == 0) note(SYNC_ENDS, path, 0, NULL, 0);
    return result;
}

int fsync(int file) { return sync_with(file, NEXT(fsync)); }

int fdatasync(int file) { return sync_with(file, NEXT(fdatasync)); }

static void note_truncate(int file, off_t bytes) {
    char at[4096];
    const char *path = path_of(file, at, sizeof at);
    if (path) note(TRUNCATE, path, (uint64_t)bytes, NULL, 0);
}

int ftruncate(int file, off_t bytes) {
    note_truncate(file, bytes);
    return NEXT(ftruncate)(file, bytes);
}

int ftruncate64(int file, off64_t bytes) {
    note_truncate(file, bytes);
    return NEXT(ftruncate64)(file, bytes);
}

int unlink(const char *path) {
    if (diary >= 0 && strncmp(path, root, root_bytes) == 0) note(UNLINK, path, 0, NULL, 0);
    return NEXT(unlink)(path);
}
