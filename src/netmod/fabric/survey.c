/*
 * Whether libfabric and a network are here, found out as a job would: by opening them.
 */
#include <errno.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "fabric.h"
#include "survey.h"

/* The interface that has an address; "" where none does. */
static void name_interface(const struct ferry_site *site, char name[64])
{
    struct ifaddrs *first = NULL;

    name[0] = 0;
    if (getifaddrs(&first))
        return;
    for (struct ifaddrs *entry = first; entry && !name[0]; entry = entry->ifa_next) {
        struct sockaddr_storage storage = {0};
        struct ferry_site own;
        uint16_t port;
        int family = entry->ifa_addr ? entry->ifa_addr->sa_family : AF_UNSPEC;

        if (family != AF_INET && family != AF_INET6)
            continue;
        memcpy(&storage, entry->ifa_addr,
               family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
        ferry_site_from_socket(&own, &port, &storage);
        if (ferry_site_equal(&own, site))
            snprintf(name, 64, "%s", entry->ifa_name);
    }
    freeifaddrs(first);
}

static void survey_network(struct ferry_survey *survey)
{
    const char *choice = ferry_config()->fabric_interface;
    struct ferry_net nets[FERRY_NETS_MAX];
    struct ferry_sites sites = {0};
    unsigned net_count;
    int listener;

    if (ferry_sites_own(choice, &sites, nets, &net_count)) {
        ferry_survey_fail(survey,
                          choice[0] ? "let FERRY_FABRIC_INTERFACE name what is there, or be empty"
                                    : "give this container or VM a network interface that is up",
                          "there is no address to listen at%s%s",
                          choice[0] ? " for FERRY_FABRIC_INTERFACE=" : "", choice);
        return;
    }
    for (unsigned i = 0; i < sites.count; i++) {
        char text[FERRY_SITE_TEXT], name[64];

        name_interface(&sites.at[i], name);
        ferry_survey_add(survey, i ? "or at" : "listens at", "%s (%s)",
                         ferry_site_text(&sites.at[i], text), name[0] ? name : "no interface");
    }
    listener = ferry_door_listen(&sites, choice[0] && sites.count == 1);
    if (listener < 0)
        ferry_survey_fail(survey, "let this process open sockets", "it can't listen: %s",
                          strerror(-listener));
    else
        close(listener);
}

static void survey_library(struct ferry_survey *survey)
{
    struct ferry_library library = {0};
    char version[32], providers[200];
    int error = ferry_library_open(&library, ferry_config()->fabric_provider);

    if (error) {
        ferry_survey_fail(survey, "let this user have more processes", "no thread: %s",
                          strerror(-error));
        return;
    }
    ferry_library_await(&library);
    ferry_library_describe(version, sizeof(version), providers, sizeof(providers));
    if (version[0]) {
        ferry_survey_add(survey, "libfabric", "version %s", version);
        ferry_survey_add(survey, "providers", "%s", providers[0] ? providers : "none");
        if (ferry_library_is_ready(&library))
            ferry_survey_add(survey, "would use", "%s", ferry_library_provider(&library));
    }
    if (!ferry_library_is_ready(&library))
        ferry_survey_fail(survey,
                          version[0] ? "let FERRY_FABRIC_PROVIDER name one of the providers above"
                                     : "install libfabric in this container or VM (Debian: "
                                       "libfabric1), or let LD_LIBRARY_PATH lead to it",
                          "%s", library.why);
    ferry_library_close(&library);
}

void ferry_fabric_survey(struct ferry_survey *survey)
{
    survey->usable = true;
    survey_library(survey);
    survey_network(survey);
}
