/*
 * A plain file that stands for memory which virtual machines share.
 */
#ifndef FERRY_TEST_REGION_H
#define FERRY_TEST_REGION_H

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[] = "/dev/shm/ferry-test-XXXXXX";
static int file;

/* Makes one of so many bytes, for jobs that may use these transports. Returns 0, or another number: it could not be. */
static int region_make(const char *transports, size_t size)
{
    strcpy(path, "/dev/shm/ferry-test-XXXXXX");
    file = mkstemp(path);
    setenv("FERRY_GUESTS_MEMORY", path, 1);
    setenv("FERRY_TRANSPORTS", transports, 1);
    setenv("FERRY_LOG", "error", 1);
    return file < 0 || ftruncate(file, (off_t) size);
}

static int region_remove(void **state)
{
    (void) state;
    close(file);
    unsetenv("FERRY_GUESTS_ALLOC");
    unsetenv("FERRY_LEASE");
    return unlink(path);
}

#endif
