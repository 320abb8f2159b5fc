/*
 * libfabric, loaded while the program goes on. Being linked with it costs each process 0.2 s before
 * main() (libraries of adapters measure the clock there), its first fi_getinfo() 0.1 s more: a thread
 * bears that once a network is really needed.
 */
#ifndef FERRY_FABRIC_LIBRARY_H
#define FERRY_FABRIC_LIBRARY_H

#include <pthread.h>
#include <rdma/fabric.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_eq.h>
#include <rdma/fi_errno.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "sites.h"

/* Sends and receives of one endpoint that are under way at once, at most. */
#define FERRY_FABRIC_SENDS 128
#define FERRY_FABRIC_RECEIVES 128

/* Packets up to this, head and all, are sent without a buffer of ours where libfabric copies them. */
#define FERRY_FABRIC_INJECT 128u

enum ferry_library_state { FERRY_LIBRARY_LOADING, FERRY_LIBRARY_READY, FERRY_LIBRARY_FAILED };

struct ferry_library {
    _Atomic enum ferry_library_state state;
    char why[200];         /* once failed */
    const char *providers; /* that were asked for: a list */
    size_t inject_max;
    bool reads;      /* out of a peer's memory, */
    bool by_address; /* of which its address names a place; else its offset in the region */
    struct fi_info *info;
    struct fid_fabric *fabric;
    struct fid_domain *domain;
    struct fid_eq *events;
    struct fid_cq *completions;
    pthread_t thread;
};

/* Begins to load. Errors: -EAGAIN no thread, or another negative errno. */
int ferry_library_open(struct ferry_library *library, const char *providers);
/* Waits until it is loaded, or has failed. */
void ferry_library_await(struct ferry_library *library);
static inline bool ferry_library_is_ready(const struct ferry_library *library)
{
    return atomic_load_explicit(&library->state, memory_order_acquire) == FERRY_LIBRARY_READY;
}
/* The provider that is used, once it is ready. */
static inline const char *ferry_library_provider(const struct ferry_library *library)
{
    return library->info->fabric_attr->prov_name;
}
/* For people, once it is: its version and the names of the providers that would do. "" where it can't be loaded. */
void ferry_library_describe(char *version, size_t version_room, char *providers,
                            size_t provider_room);
/* Endpoints were closed before. */
void ferry_library_close(struct ferry_library *library);

/* What it is to be called with for a connection between two sites; remote may be NULL.
 * Errors: NULL, no memory. */
struct fi_info *ferry_library_info(struct ferry_library *library, const struct ferry_site *local,
                                   const struct ferry_site *remote, uint16_t port);
void ferry_library_info_free(struct fi_info *info);

const char *ferry_library_error(int error);

#endif
