#include "memory_events.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __x86_64__

#define PAGE 4096u

static ferry_memory_range *tell_unmapped, *tell_mapped;
static ferry_memory_after *tell_after;

static void *watched_mremap(void *old, size_t old_length, size_t length, int flags, ...)
{
    void *target = NULL, *result;
    va_list arguments;

    if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) {
        va_start(arguments, flags);
        target = va_arg(arguments, void *);
        va_end(arguments);
    }
    tell_unmapped(old, old_length);
    if (flags & MREMAP_FIXED)
        tell_unmapped(target, length);
    result = (void *) syscall(SYS_mremap, old, old_length, length, flags, target);
    if (result != MAP_FAILED)
        tell_mapped(result, length);
    tell_after();
    return result;
}

/* mov $watched_mremap, %r11; jmp *%r11. libucm has written the same form there, so that for other threads only the
 * address changes. */
#define JUMP_BYTES 13
static void make_jump(unsigned char jump[JUMP_BYTES])
{
    void *(*target)(void *, size_t, size_t, int, ...) = watched_mremap;

    memcpy(jump, "\x49\xbb........\x41\xff\xe3", JUMP_BYTES);
    memcpy(jump + 2, &target, sizeof(target));
}

const char *ferry_memory_watch_mremap(ferry_memory_range *unmapped, ferry_memory_range *mapped,
                                      ferry_memory_after *after)
{
    unsigned char *code = dlsym(RTLD_DEFAULT, "mremap"), jump[JUMP_BYTES];
    unsigned char *page = (unsigned char *) ((uintptr_t) code & ~(uintptr_t) (PAGE - 1));
    size_t length = (size_t) (code + JUMP_BYTES - page);

    if (!code)
        return "mremap() was not found";
    make_jump(jump);
    tell_unmapped = unmapped;
    tell_mapped = mapped;
    tell_after = after;
    if (mprotect(page, length, PROT_READ | PROT_WRITE | PROT_EXEC))
        return "the code of mremap() can't be changed";
    memcpy(code, jump, JUMP_BYTES);
    mprotect(page, length, PROT_READ | PROT_EXEC);
    return NULL;
}

#endif
