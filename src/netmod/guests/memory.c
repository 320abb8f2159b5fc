#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "config.h"
#include "devices.h"
#include "fault.h"
#include "list.h"
#include "peek.h"

#define PCI "/sys/bus/pci/devices/"
#define MEMORY_BAR 2u

/* Elsewhere the memory of a PCI device is mapped as registers are, whatever lies behind it: on arm64 (pgprot_device()) an
 * access that is not aligned is a SIGBUS, and atomic instructions need not work. */
#ifdef __x86_64__
#define DEVICES_HOLD_MEMORY true
#else
#define DEVICES_HOLD_MEMORY false
#endif

/* ---- Finding ---- */

static void add(struct ferry_guests_memory *out, unsigned *count,
                enum ferry_guests_memory_kind kind, const char *name, uint64_t size)
{
    if (*count == FERRY_GUESTS_MEMORIES_MAX)
        return;
    out[*count].kind = kind;
    out[*count].size = size;
    out[*count].vfio = (struct ferry_vfio){-1, -1, -1};
    out[*count].vfio_error = -ENODEV;
    snprintf(out[*count].name, sizeof(out[*count].name), "%s", name);
    (*count)++;
}

unsigned ferry_guests_memories_find(struct ferry_guests_memory out[FERRY_GUESTS_MEMORIES_MAX])
{
    const char *cursor = ferry_config()->guests_memory;
    struct ferry_devices *devices = malloc(sizeof(*devices));
    char word[sizeof(out[0].name)];
    unsigned count = 0;

    memset(out, 0, FERRY_GUESTS_MEMORIES_MAX * sizeof(*out));
    if (!devices)
        return 0;
    ferry_devices_find("", devices);
    while (ferry_list_next(&cursor, word, sizeof(word))) {
        bool is_dax = !strcmp(word, "dax");

        for (uint32_t i = 0; !strcmp(word, "ivshmem") && i < devices->ivshmem_count; i++)
            add(out, &count, FERRY_GUESTS_IVSHMEM, devices->ivshmems[i].name,
                devices->ivshmems[i].size);
        for (uint32_t i = 0; i < devices->dax_count; i++)
            if (is_dax ||
                (!strncmp(word, "/dev/", 5) && !strcmp(word + 5, devices->daxes[i].name))) {
                add(out, &count, FERRY_GUESTS_DAX, devices->daxes[i].name, devices->daxes[i].size);
                word[0] = '\0';
            }
        if (word[0] == '/')
            add(out, &count, FERRY_GUESTS_FILE, word, 0);
    }
    free(devices);
    return count;
}

/* ---- Mapping ---- */

static int refuse(struct ferry_guests_memory *memory, int error, const char *why, const char *help)
{
    snprintf(memory->why, sizeof(memory->why), "%s", why);
    snprintf(memory->help, sizeof(memory->help), "%s", help);
    return error;
}

static int refuse_open(struct ferry_guests_memory *memory, const char *path)
{
    int error = errno;
    char why[320];

    snprintf(why, sizeof(why), "%s can't be opened: %s", path, strerrordesc_np(error));
    if (error != EACCES && error != EPERM)
        return refuse(memory, -error, why, "see doc/memory-of-guests.md");
    if (memory->kind == FERRY_GUESTS_IVSHMEM)
        refuse(memory, 0, why,
               "give a group of users the right to it by a udev rule: SUBSYSTEM==\"pci\", "
               "ATTR{vendor}==\"0x1af4\", ATTR{device}==\"0x1110\", RUN+=\"/bin/chgrp GROUP "
               "/sys%p/resource2\", RUN+=\"/bin/chmod 660 /sys%p/resource2\"");
    else if (memory->kind == FERRY_GUESTS_DAX)
        refuse(memory, 0, why,
               "give a group of users the right to it by a udev rule: SUBSYSTEM==\"dax\", "
               "GROUP=\"GROUP\", MODE=\"0660\"");
    else
        refuse(memory, 0, why, "let this user read and write that file");
    return -error;
}

/* A file is trusted to stay as long as it is no more than other shared memory is: a fault in it ends connections. */
static int check_file(struct ferry_guests_memory *memory, int fd)
{
    struct stat status;

    if (fstat(fd, &status))
        return refuse(memory, -errno, strerrordesc_np(errno), "");
    if (!S_ISREG(status.st_mode) || status.st_size <= 0)
        return refuse(memory, -EINVAL, "it is no file with a size",
                      "make the file beforehand, as large as it shall be, on a file system that is "
                      "mounted with DAX");
    memory->size = (uint64_t) status.st_size & ~(uint64_t) 4095;
    return 0;
}

static int map(struct ferry_guests_memory *memory, const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK), error = 0;
    void *base;

    if (fd < 0)
        return refuse_open(memory, path);
    if (memory->kind == FERRY_GUESTS_FILE)
        error = check_file(memory, fd);
    if (!error) {
        base = mmap(NULL, memory->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (base == MAP_FAILED)
            error = refuse(memory, -errno, strerrordesc_np(errno),
                           "a driver that holds the device must let it go (driver_override)");
        else
            memory->base = base;
    }
    close(fd);
    if (!error && memory->kind != FERRY_GUESTS_IVSHMEM)
        error = ferry_fault_guard(memory->base, memory->size, &memory->faulted);
    return error;
}

/* The memory as the driver gives it, where its file can't be used: its owner need not be able to write in /sys then. */
static int map_by_vfio(struct ferry_guests_memory *memory)
{
    size_t length;
    void *base = ferry_vfio_map(&memory->vfio, MEMORY_BAR, &length);

    if (!base)
        return -errno;
    memory->base = base;
    memory->size = length;
    return 0;
}

/* ---- Caching ---- */

/* Lines that are read again and again; the best of so many rounds counts, for others may want the processor. */
#define LINES 64
#define PASSES 16
#define ROUNDS 5

/* Memory that is cached gives a line in about a nanosecond, and in some under emulation; a device's registers, or
 * memory mapped as they are, take 300 ns and more, on any PCI Express. */
#define CACHED_PS 100000u

static unsigned measure(const void *base)
{
    const volatile uint64_t *words = base;
    uint64_t best = UINT64_MAX;

    for (int round = 0; round < ROUNDS; round++) {
        uint64_t begin = ferry_now_ns(), took;

        for (int pass = 0; pass < PASSES; pass++)
            for (int line = 0; line < LINES; line++)
                (void) words[line * 8];
        took = ferry_now_ns() - begin;
        best = took < best ? took : best;
    }
    best = best * 1000 / (LINES * PASSES);
    return best > UINT32_MAX ? UINT32_MAX : (unsigned) best;
}

int ferry_guests_memory_map(struct ferry_guests_memory *memory)
{
    char path[sizeof(PCI "/resource2") + sizeof(memory->name)];
    int error;

    snprintf(path, sizeof(path),
             memory->kind == FERRY_GUESTS_IVSHMEM ? PCI "%s/resource2"
             : memory->kind == FERRY_GUESTS_DAX   ? "/dev/%s"
                                                  : "%s",
             memory->name);
    if (memory->kind == FERRY_GUESTS_IVSHMEM && !DEVICES_HOLD_MEMORY)
        return refuse(
            memory, -EOPNOTSUPP,
            "the kernel of this kind of processor maps a PCI device's memory as registers, which "
            "messages can't go through",
            "share the same file of the host as persistent memory (NVDIMM) instead: "
            "doc/memory-of-guests.md");
    if (memory->kind == FERRY_GUESTS_IVSHMEM && ferry_config()->guests_bell)
        memory->vfio_error = ferry_vfio_open(memory->name, &memory->vfio);
    /* The kernel resets the device when the other one closes it, and nobody's mapping survives that. */
    if (memory->vfio_error == -EBUSY)
        return refuse(memory, -EBUSY, "another process of this virtual machine has it by vfio-pci",
                      "FERRY_GUESTS_BELL=no, or a single process in each virtual machine");
    error = map(memory, path);
    if (error && memory->vfio.device >= 0)
        error = map_by_vfio(memory);
    if (error) {
        ferry_guests_memory_unmap(memory);
        return error;
    }
    if (memory->size < 4096)
        return 0;
    memory->line_ps = measure(memory->base);
    if (memory->line_ps > CACHED_PS) {
        char why[320];

        snprintf(why, sizeof(why),
                 "it is mapped uncached (a line takes %u ns), which is slower than the network",
                 memory->line_ps / 1000);
        ferry_guests_memory_unmap(memory);
        return refuse(memory, -EOPNOTSUPP, why,
                      "the hypervisor decides that: with a device passed through to the virtual "
                      "machine some map all devices' memory so");
    }
    return 0;
}

void ferry_guests_memory_unmap(struct ferry_guests_memory *memory)
{
    ferry_vfio_close(&memory->vfio);
    if (!memory->base)
        return;
    ferry_fault_unguard(memory->base);
    munmap(memory->base, memory->size);
    memory->base = NULL;
}

void ferry_guests_memory_describe(const struct ferry_guests_memory *memory, char *text, size_t room)
{
    snprintf(text, room, "%s%s", memory->kind == FERRY_GUESTS_IVSHMEM ? "ivshmem " : "",
             memory->name);
}
