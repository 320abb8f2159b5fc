/*
 * Which PCI devices are virtual functions by their ids alone: whoever passes one through to a VM hides its physical
 * function. From the tables of PCI ids of the drivers named here in Linux (drivers/net, drivers/infiniband), and where
 * these don't tell one kind from the other, from the public list of PCI ids, https://pci-ids.ucw.cz. Each list ends
 * with 0.
 */
#include "parts.h"

#include <stddef.h>

static const uint16_t mellanox[] = {0x1002, 0x1004, /* mlx4_core */
                                    0x1012, 0x1014, 0x1016, 0x1018,
                                    0x101a, 0x101c, 0x101e, 0xa2d3, /* mlx5_core */
                                    0};
static const uint16_t broadcom[] = {/* bnxt_en, below bnxt_re */
                                    0x1606, 0x1607, 0x1608, 0x1609, 0x16bd, 0x16c1, 0x16c2, 0x16c3,
                                    0x16c4, 0x16c5, 0x16cb, 0x16d3, 0x16dc, 0x16e1, 0x16e5, 0x16e6,
                                    0x1806, 0x1807, 0x1808, 0x1809, 0x1819, 0x181b, 0xd800,
                                    /* bnx2x */
                                    0x163f, 0x166f, 0x16a9, 0x16ad, 0x16af, 0};
static const uint16_t intel[] = {0x10ca, 0x1520, 0x152d, 0x152f, /* igbvf */
                                 0x10ed, 0x152e, 0x1515, 0x1530, 0x1564, 0x1565,
                                 0x15a8, 0x15a9, 0x15b4, 0x15c5, 0x57ad, /* ixgbevf */
                                 0x154c, 0x1571, 0x1889, 0x37cd, 0x37d9, /* iavf, below irdma */
                                 0x145c, 0x0dd5,                         /* idpf */
                                 0};
static const uint16_t huawei[] = {0xa22e, 0xa22f,                 /* hns3, below hns_roce */
                                  0x375e, 0x375f, 0x379e, 0x379f, /* hinic */
                                  0};
static const uint16_t amazon[] = {0xefa0, 0xefa1, 0xefa2, 0xefa3, 0xefa4, /* efa */
                                  0xec20, 0xec21,                         /* ena */
                                  0};
static const uint16_t qlogic[] = {0x1664, 0x8090, 0}; /* qede, below qedr */
static const uint16_t microsoft[] = {0x00ba, 0};      /* mana */
static const uint16_t pensando[] = {0x1003, 0};       /* ionic */

/* Made by hypervisors. */
static const uint16_t vmware[] = {0x07b0, 0x0820, 0}; /* vmxnet3, vmw_pvrdma */
static const uint16_t google[] = {0x0042, 0};         /* gve */

static const struct {
    uint16_t vendor;
    enum ferry_function function;
    const uint16_t *devices;
} makers[] = {
    {0x15b3, FERRY_FUNCTION_VIRTUAL, mellanox},  {0x14e4, FERRY_FUNCTION_VIRTUAL, broadcom},
    {0x8086, FERRY_FUNCTION_VIRTUAL, intel},     {0x19e5, FERRY_FUNCTION_VIRTUAL, huawei},
    {0x1d0f, FERRY_FUNCTION_VIRTUAL, amazon},    {0x1077, FERRY_FUNCTION_VIRTUAL, qlogic},
    {0x1414, FERRY_FUNCTION_VIRTUAL, microsoft}, {0x1dd8, FERRY_FUNCTION_VIRTUAL, pensando},
    {0x15ad, FERRY_FUNCTION_DEVICE, vmware},     {0x1ae0, FERRY_FUNCTION_DEVICE, google},
};

/* All of virtio's, as its specification lays down. */
#define VIRTIO_VENDOR 0x1af4
#define VIRTIO_FIRST 0x1000
#define VIRTIO_LAST 0x107f

enum ferry_function ferry_function_by_id(uint16_t vendor, uint16_t device)
{
    if (vendor == VIRTIO_VENDOR && device >= VIRTIO_FIRST && device <= VIRTIO_LAST)
        return FERRY_FUNCTION_DEVICE;
    for (size_t i = 0; i < sizeof(makers) / sizeof(makers[0]); i++)
        for (const uint16_t *id = makers[i].devices; makers[i].vendor == vendor && *id != 0; id++)
            if (*id == device)
                return makers[i].function;
    return FERRY_FUNCTION_PHYSICAL;
}
