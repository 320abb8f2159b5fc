/*
 * Loading libfabric, and what is opened once for all connections.
 */
#include "library.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "held.h"
#include "list.h"

#define SONAME "libfabric.so.1"
#define API FI_VERSION(1, 11)

#define COMPLETIONS 1024
#define EVENTS 64

/* The few functions that are not reached through a table; the same in all contexts. */
static pthread_mutex_t finding = PTHREAD_MUTEX_INITIALIZER;
static struct {
    __typeof__(fi_getinfo) *getinfo;
    __typeof__(fi_freeinfo) *freeinfo;
    __typeof__(fi_dupinfo) *dupinfo;
    __typeof__(fi_fabric) *fabric;
    __typeof__(fi_strerror) *strerror;
    __typeof__(fi_version) *version; /* for people only */
} fi;

const char *ferry_library_error(int error)
{
    return fi.strerror(error < 0 ? -error : error);
}

void ferry_library_info_free(struct fi_info *info)
{
    fi.freeinfo(info);
}

/* ---- In the thread ---- */

static int fail(struct ferry_library *library, const char *what, const char *why)
{
    snprintf(library->why, sizeof(library->why), "%s: %s", what, why);
    return -1;
}

static int find_functions(struct ferry_library *library)
{
    /* Never closed: what these libraries leave behind can't be taken away. */
    void *handle = dlopen(SONAME, RTLD_NOW | RTLD_LOCAL);

    if (!handle)
        return fail(library, "libfabric can't be loaded", dlerror());
    *(void **) &fi.freeinfo = dlsym(handle, "fi_freeinfo");
    *(void **) &fi.dupinfo = dlsym(handle, "fi_dupinfo");
    *(void **) &fi.fabric = dlsym(handle, "fi_fabric");
    *(void **) &fi.strerror = dlsym(handle, "fi_strerror");
    *(void **) &fi.getinfo = dlsym(handle, "fi_getinfo");
    *(void **) &fi.version = dlsym(handle, "fi_version");
    if (!fi.freeinfo || !fi.dupinfo || !fi.fabric || !fi.strerror || !fi.getinfo)
        return fail(library, SONAME, "functions are missing");
    return 0;
}

static struct fi_info *hints(const char *provider, uint64_t caps)
{
    struct fi_info *hints = fi.dupinfo(NULL);

    if (!hints)
        return NULL;
    hints->caps = caps;
    hints->domain_attr->mr_mode = FI_MR_VIRT_ADDR | FI_MR_PROV_KEY | FI_MR_ALLOCATED;
    hints->ep_attr->type = FI_EP_MSG;
    hints->domain_attr->threading = FI_THREAD_DOMAIN;
    hints->domain_attr->control_progress = FI_PROGRESS_MANUAL;
    hints->domain_attr->data_progress = FI_PROGRESS_MANUAL;
    hints->tx_attr->size = FERRY_FABRIC_SENDS;
    hints->rx_attr->size = FERRY_FABRIC_RECEIVES;
    hints->fabric_attr->prov_name = provider ? strdup(provider) : NULL;
    return hints;
}

/* The names of providers that would do. */
static void list_providers(char *names, size_t room)
{
    struct fi_info *wanted = hints(NULL, FI_MSG), *found = NULL;
    size_t used = 0;

    names[0] = 0;
    if (wanted && fi.getinfo(API, NULL, NULL, 0, wanted, &found) == 0)
        for (struct fi_info *info = found; info && used < room; info = info->next)
            if (!strstr(names, info->fabric_attr->prov_name))
                used += (size_t) snprintf(names + used, room - used, "%s%s", used ? ", " : "",
                                          info->fabric_attr->prov_name);
    if (found)
        fi.freeinfo(found);
    if (wanted)
        fi.freeinfo(wanted);
}

static int try_provider(struct ferry_library *library, const char *provider, uint64_t caps)
{
    struct fi_info *wanted = hints(provider, caps);
    int error = wanted ? fi.getinfo(API, NULL, NULL, 0, wanted, &library->info) : -FI_ENOMEM;

    if (wanted)
        fi.freeinfo(wanted);
    return error;
}

static int find_provider(struct ferry_library *library)
{
    const char *cursor = library->providers;
    char name[32], names[64];
    int error = -FI_ENODATA;

    while (error && ferry_list_next(&cursor, name, sizeof(name))) {
        error = try_provider(library, name, FI_MSG | FI_RMA);
        library->reads = !error;
        if (error)
            error = try_provider(library, name, FI_MSG);
    }
    if (!error) {
        library->by_address = library->info->domain_attr->mr_mode & FI_MR_VIRT_ADDR;
        library->inject_max = library->info->tx_attr->inject_size < FERRY_FABRIC_INJECT
                                  ? library->info->tx_attr->inject_size
                                  : FERRY_FABRIC_INJECT;
        return 0;
    }
    list_providers(names, sizeof(names));
    snprintf(library->why, sizeof(library->why),
             "FERRY_FABRIC_PROVIDER=%.32s: libfabric says: %s; it offers: %s", library->providers,
             fi.strerror(-error), names[0] ? names : "nothing that can be used");
    return -1;
}

static int open_objects(struct ferry_library *library)
{
    struct fi_cq_attr completions = {.size = COMPLETIONS, .format = FI_CQ_FORMAT_MSG};
    struct fi_eq_attr events = {.size = EVENTS};
    int error = fi.fabric(library->info->fabric_attr, &library->fabric, NULL);

    if (!error)
        error = fi_domain(library->fabric, library->info, &library->domain, NULL);
    if (!error)
        error = fi_eq_open(library->fabric, &events, &library->events, NULL);
    if (!error)
        error = fi_cq_open(library->domain, &completions, &library->completions, NULL);
    return error ? fail(library, "libfabric can't be opened", fi.strerror(-error)) : 0;
}

static void *load(void *arg)
{
    struct ferry_library *library = arg;
    struct ferry_held_before before;
    int error;

    pthread_mutex_lock(&finding);
    /* Its providers open each RDMA device, whichever of them is wanted. */
    ferry_held_begin(&before);
    error = find_functions(library);
    if (!error)
        error = find_provider(library);
    ferry_held_end(&before);
    pthread_mutex_unlock(&finding);
    if (!error)
        error = open_objects(library);
    atomic_store_explicit(&library->state, error ? FERRY_LIBRARY_FAILED : FERRY_LIBRARY_READY,
                          memory_order_release);
    return NULL;
}

/* ---- In the program's thread ---- */

int ferry_library_open(struct ferry_library *library, const char *providers)
{
    sigset_t all, old;
    int error;

    library->providers = providers;
    atomic_init(&library->state, FERRY_LIBRARY_LOADING);
    /* One of libfabric's libraries would put handlers of its own on SIGSEGV, SIGBUS, SIGINT and others
     * when it is loaded. */
    setenv("IPATH_NO_BACKTRACE", "1", 0);
    /* The program's signals are the program's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    error = pthread_create(&library->thread, NULL, load, library);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return -error;
}

void ferry_library_await(struct ferry_library *library)
{
    while (atomic_load_explicit(&library->state, memory_order_acquire) == FERRY_LIBRARY_LOADING)
        usleep(1000);
}

void ferry_library_describe(char *version, size_t version_room, char *providers,
                            size_t provider_room)
{
    uint32_t number;

    version[0] = providers[0] = 0;
    if (!fi.version || !fi.getinfo || !fi.dupinfo || !fi.freeinfo)
        return;
    number = fi.version();
    snprintf(version, version_room, "%u.%u", FI_MAJOR(number), FI_MINOR(number));
    list_providers(providers, provider_room);
}

void ferry_library_close(struct ferry_library *library)
{
    pthread_join(library->thread, NULL);
    if (library->completions)
        fi_close(&library->completions->fid);
    if (library->events)
        fi_close(&library->events->fid);
    if (library->domain)
        fi_close(&library->domain->fid);
    if (library->fabric)
        fi_close(&library->fabric->fid);
    if (library->info)
        fi.freeinfo(library->info);
}

/* Replaces an address in info; libfabric frees it with info. */
static bool put_address(void **address, size_t *length, const struct ferry_site *site,
                        uint16_t port)
{
    struct sockaddr_storage storage;
    socklen_t size = ferry_site_to_socket(site, port, &storage);

    free(*address);
    *address = malloc(size);
    *length = size;
    if (*address)
        memcpy(*address, &storage, size);
    return *address != NULL;
}

struct fi_info *ferry_library_info(struct ferry_library *library, const struct ferry_site *local,
                                   const struct ferry_site *remote, uint16_t port)
{
    struct fi_info *info = fi.dupinfo(library->info);

    if (!info)
        return NULL;
    info->addr_format = local->family == AF_INET ? FI_SOCKADDR_IN : FI_SOCKADDR_IN6;
    if (put_address(&info->src_addr, &info->src_addrlen, local, 0) &&
        (!remote || put_address(&info->dest_addr, &info->dest_addrlen, remote, port)))
        return info;
    fi.freeinfo(info);
    return NULL;
}
