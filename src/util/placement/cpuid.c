/*
 * What an x86-64 processor says of a hypervisor: CPUID leaves from 0x40000000 on, which hardware leaves to them.
 */
#include "parts.h"

#include <stdio.h>
#include <string.h>

#define LEAF_FEATURES 1u
#define HYPERVISOR_PRESENT (1u << 31) /* ecx; Intel SDM and AMD APM: reserved, zero on hardware */

/* A hypervisor that shows another one's interface too has one block of leaves for each. */
#define LEAF_FIRST 0x40000000u
#define LEAF_STEP 0x100u
#define BLOCKS 4

/* Hyper-V, from its "Hypervisor Top-Level Functional Specification". */
#define HV_VERSION 2u
#define HV_PRIVILEGES 3u
#define HV_CREATE_PARTITIONS 1u /* ebx */
#define HV_HINTS 4u
#define HV_NESTED (1u << 12) /* eax: the hypervisor is in a partition of another */

/* Xen, from its public/arch-x86/cpuid.h */
#define XEN_VERSION 1u

/* From the hypervisors' documents. Where a block names one and another a later one of this table, the later
 * is the real one: Xen and KVM pose as Hyper-V for Windows, KVM as Xen. */
static const struct {
    const char *signature, *name;
} signatures[] = {
    {"Microsoft Hv", "Hyper-V"},
    {"XenVMMXenVMM", "Xen"},
    {"KVMKVMKVM", "KVM"},
    {"Linux KVM Hv", "KVM"},
    {"TCGTCGTCGTCG", "QEMU TCG"},
    {"VMwareVMware", "VMware"},
    {"VBoxVBoxVBox", "VirtualBox"},
    {"bhyve bhyve ", "bhyve"},
    {" lrpepyh  vr", "Parallels"},
    {"prl hyperv  ", "Parallels"},
    {"ACRNACRNACRN", "ACRN"},
    {"Jailhouse", "Jailhouse"},
    {"HAXMHAXMHAXM", "HAXM"},
    {"___ NVMM ___", "NVMM"},
    {"OpenBSDVMM58", "OpenBSD vmm"},
    {"QNXQVMBSQG", "QNX"},
    {"UnisysSpar64", "Unisys s-Par"},
};
#define SIGNATURES (sizeof(signatures) / sizeof(signatures[0]))

static void find_version(ferry_cpuid_fn cpuid, uint32_t block, struct ferry_hypervisor *out)
{
    uint32_t r[4];

    if (strcmp(out->name, "Hyper-V") == 0) {
        if (cpuid(block + HV_VERSION, r))
            snprintf(out->version, sizeof(out->version), "%u.%u.%u", r[1] >> 16, r[1] & 0xffff,
                     r[0]);
        out->root = cpuid(block + HV_PRIVILEGES, r) && r[1] & HV_CREATE_PARTITIONS;
        out->nested = cpuid(block + HV_HINTS, r) && r[0] & HV_NESTED;
    } else if (strcmp(out->name, "Xen") == 0 && cpuid(block + XEN_VERSION, r)) {
        snprintf(out->version, sizeof(out->version), "%u.%u", r[0] >> 16, r[0] & 0xffff);
    }
}

/* The signature of a block: ebx, ecx, edx. */
static void read_signature(ferry_cpuid_fn cpuid, uint32_t block, char signature[16])
{
    uint32_t r[4] = {0};

    memset(signature, 0, 16);
    if (cpuid(block, r))
        memcpy(signature, &r[1], 12);
}

void ferry_placement_cpuid(ferry_cpuid_fn cpuid, struct ferry_hypervisor *out)
{
    uint32_t r[4] = {0};
    size_t best = 0;

    memset(out, 0, sizeof(*out));
    out->known = cpuid != NULL && cpuid(LEAF_FEATURES, r);
    if (!out->known)
        return;
    out->present = r[2] & HYPERVISOR_PRESENT;
    /* Some hide the bit and show their name all the same. Hardware answers with what is no name. */
    for (uint32_t block = LEAF_FIRST; block < LEAF_FIRST + BLOCKS * LEAF_STEP; block += LEAF_STEP) {
        char signature[16];

        read_signature(cpuid, block, signature);
        if (block == LEAF_FIRST && out->present)
            ferry_set_text(out->signature, sizeof(out->signature), signature);
        for (size_t i = best; i < SIGNATURES; i++) {
            if (strcmp(signature, signatures[i].signature) != 0)
                continue;
            best = i;
            out->version[0] = '\0';
            out->nested = out->root = false;
            out->name = signatures[i].name;
            strcpy(out->signature, signature);
            find_version(cpuid, block, out);
        }
    }
}
