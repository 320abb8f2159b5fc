#include "vfio.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PCI "/sys/bus/pci/devices/"

/* The last part of what a link in the device's folder leads to. Returns 0 or negative errno. */
static int link_name(const char *address, const char *link, char *name, size_t room)
{
    char path[320], target[320];
    ssize_t length;
    char *last;

    snprintf(path, sizeof(path), PCI "%.255s/%s", address, link);
    length = readlink(path, target, sizeof(target) - 1);
    if (length < 0)
        return -errno;
    target[length] = '\0';
    last = strrchr(target, '/');
    last = last ? last + 1 : target;
    if (strlen(last) >= room)
        return -ENAMETOOLONG;
    strcpy(name, last);
    return 0;
}

bool ferry_vfio_holds(const char *address)
{
    char driver[64];

    return !link_name(address, "driver", driver, sizeof(driver)) && !strcmp(driver, "vfio-pci");
}

static int open_group(const char *address, struct ferry_vfio *vfio)
{
    struct vfio_group_status status = {.argsz = sizeof(status)};
    char number[64], path[96];
    int error = link_name(address, "iommu_group", number, sizeof(number));

    if (error)
        return error == -ENOENT ? -EOPNOTSUPP : error;
    snprintf(path, sizeof(path), "/dev/vfio/%s", number);
    vfio->group = open(path, O_RDWR | O_CLOEXEC);
    if (vfio->group < 0 || ioctl(vfio->group, VFIO_GROUP_GET_STATUS, &status))
        return -errno;
    /* Else some driver of the kernel's has another device of the group. */
    return status.flags & VFIO_GROUP_FLAGS_VIABLE ? 0 : -EBUSY;
}

static int open_device(const char *address, struct ferry_vfio *vfio)
{
    vfio->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
    if (vfio->container < 0)
        return -errno;
    if (ioctl(vfio->container, VFIO_GET_API_VERSION) != VFIO_API_VERSION ||
        !ioctl(vfio->container, VFIO_CHECK_EXTENSION, VFIO_TYPE1_IOMMU))
        return -EOPNOTSUPP;
    if (ioctl(vfio->group, VFIO_GROUP_SET_CONTAINER, &vfio->container) ||
        ioctl(vfio->container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU))
        return -errno;
    vfio->device = ioctl(vfio->group, VFIO_GROUP_GET_DEVICE_FD, address);
    return vfio->device < 0 ? -errno : 0;
}

int ferry_vfio_open(const char *address, struct ferry_vfio *vfio)
{
    int error;

    *vfio = (struct ferry_vfio){.container = -1, .group = -1, .device = -1};
    if (!ferry_vfio_holds(address))
        return -ENODEV;
    error = open_group(address, vfio);
    if (!error)
        error = open_device(address, vfio);
    if (error)
        ferry_vfio_close(vfio);
    return error;
}

void ferry_vfio_close(struct ferry_vfio *vfio)
{
    int *all[] = {&vfio->device, &vfio->group, &vfio->container};

    for (unsigned i = 0; i < 3; i++) {
        if (*all[i] >= 0)
            close(*all[i]);
        *all[i] = -1;
    }
}

void *ferry_vfio_map(const struct ferry_vfio *vfio, unsigned bar, size_t *length)
{
    struct vfio_region_info info = {.argsz = sizeof(info), .index = bar};
    void *memory;

    if (ioctl(vfio->device, VFIO_DEVICE_GET_REGION_INFO, &info))
        return NULL;
    if (!info.size || !(info.flags & VFIO_REGION_INFO_FLAG_MMAP)) {
        errno = ENODEV;
        return NULL;
    }
    memory = mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED, vfio->device,
                  (off_t) info.offset);
    if (memory == MAP_FAILED)
        return NULL;
    *length = info.size;
    return memory;
}

bool ferry_vfio_has_interrupt(const struct ferry_vfio *vfio)
{
    struct vfio_irq_info info = {.argsz = sizeof(info), .index = VFIO_PCI_MSIX_IRQ_INDEX};

    return vfio->device >= 0 && !ioctl(vfio->device, VFIO_DEVICE_GET_IRQ_INFO, &info) &&
           info.count > 0;
}

int ferry_vfio_interrupt(const struct ferry_vfio *vfio, int eventfd)
{
    struct {
        struct vfio_irq_set set;
        int32_t eventfd;
    } irq = {.set = {.argsz = sizeof(irq),
                     .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
                     .index = VFIO_PCI_MSIX_IRQ_INDEX,
                     .count = 1},
             .eventfd = eventfd};

    return ioctl(vfio->device, VFIO_DEVICE_SET_IRQS, &irq) ? -errno : 0;
}
