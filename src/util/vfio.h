/*
 * A PCI device that the kernel's vfio-pci driver holds, as its user sees it: BARs to map, interrupts as eventfds
 * (Documentation/driver-api/vfio.rst of Linux). One process at a time has the device's group.
 */
#ifndef FERRY_VFIO_H
#define FERRY_VFIO_H

#include <stdbool.h>
#include <stddef.h>

struct ferry_vfio {
    int container, group, device; /* descriptors; -1: closed */
};

/* Whether vfio-pci holds the device with this address (0000:01:00.0). */
bool ferry_vfio_holds(const char *address);

/* Opens it. Errors, nothing being kept then: -ENODEV vfio-pci does not hold it, -EBUSY another process has it, -EACCES,
 * -EOPNOTSUPP there is no IOMMU, and others of the kernel's. */
int ferry_vfio_open(const char *address, struct ferry_vfio *vfio);
void ferry_vfio_close(struct ferry_vfio *vfio);

/* Maps a BAR for reading and writing, to be unmapped by munmap(). *length: bytes. NULL: can't be, errno says why. */
void *ferry_vfio_map(const struct ferry_vfio *vfio, unsigned bar, size_t *length);

/* Whether the device has MSI-X interrupts. */
bool ferry_vfio_has_interrupt(const struct ferry_vfio *vfio);

/* Has the first MSI-X interrupt of the device add to an eventfd. Errors: negative errno. */
int ferry_vfio_interrupt(const struct ferry_vfio *vfio, int eventfd);

#endif
