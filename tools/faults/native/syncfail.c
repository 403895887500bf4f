/* Preloaded into a broker: while the file $SYNCFAIL_CONTROL is there, syncs of files below the path
 * that it holds fail as Linux lets them fail. The first sync of a file gives EIO; every later one
 * claims success and does nothing, because the kernel has marked the pages clean that it could not
 * write. A broker that tries again and believes the answer acknowledges what the disk does not hold. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROOM = 65536 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    dev_t device;
    ino_t inode;
} lost[ROOM];
static int lost_count;

static int failing(const char *path)
{
    static const char *control;
    char prefix[4096];
    if (!control && !(control = getenv("SYNCFAIL_CONTROL")))
        return 0;
    int file = open(control, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    ssize_t length = read(file, prefix, sizeof prefix - 1);
    close(file);
    return length > 0 && !strncmp(path, prefix, (size_t)length);
}

/* 0: sync for real; 1: claim success; -1: EIO. */
static int fate(int file)
{
    char link[64], path[4096];
    struct stat state;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0 || fstat(file, &state) != 0)
        return 0;
    path[length] = 0;
    int result = 0;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < lost_count && !result; i++)
        if (lost[i].device == state.st_dev && lost[i].inode == state.st_ino)
            result = 1;
    if (!result && failing(path)) {
        if (lost_count < ROOM) {
            lost[lost_count].device = state.st_dev;
            lost[lost_count].inode = state.st_ino;
            lost_count++;
        }
        result = -1;
    }
    pthread_mutex_unlock(&lock);
    return result;
}

static int sync_or_fail(const char *name, int file)
{
    int result = fate(file);
    if (result > 0)
        return 0;
    if (result < 0) {
        errno = EIO;
        return -1;
    }
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    return real(file);
}

int fsync(int file) { return sync_or_fail("fsync", file); }
int fdatasync(int file) { return sync_or_fail("fdatasync", file); }
