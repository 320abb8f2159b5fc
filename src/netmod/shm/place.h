/*
 * Places: where processes of one host may meet. The names of abstract unix sockets are one place
 * (shared within a network namespace), each usable directory of FERRY_DIR is another.
 */
#ifndef FERRY_PLACE_H
#define FERRY_PLACE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#define FERRY_PLACES_MAX 8
#define FERRY_PATH_MAX 256

/* The name of a meeting point in a place: "ferry-" and 128 secret bits in hex. */
#define FERRY_NAME_SIZE 40

struct ferry_place {
    bool abstract;
    bool own_only; /* only for processes of the own user; else a directory named for all */
    int fd;        /* of the directory, or -1 */
    char path[FERRY_PATH_MAX];  /* the folder; "" for the abstract place */
    char shown[FERRY_PATH_MAX]; /* for people: the directory of FERRY_DIR */
};

/* Opens the places that can be used here and removes what dead jobs of this user left there.
 * Returns how many. */
unsigned ferry_places_open(struct ferry_place places[FERRY_PLACES_MAX]);
void ferry_places_close(struct ferry_place *places, unsigned count);

/* Opens a place anew whose folder was removed meanwhile. Errors: -ENOENT. */
int ferry_place_reopen(struct ferry_place *place);

/* Makes the name of a meeting point that only holders of the key can know. */
void ferry_place_name(const uint8_t key[16], const char *purpose, const void *data, size_t length,
                      char name[FERRY_NAME_SIZE]);

/* The address of a unix socket of that name; returns its length. */
socklen_t ferry_place_address(const struct ferry_place *place, const char *name,
                              struct sockaddr_un *address);

/* While on: names that end in FERRY_NASCENT are not taken for those of the dead. Not to be relied upon in a directory
 * that others can open: they may hold the lock. */
#define FERRY_NASCENT ".new"
void ferry_place_naming(struct ferry_place *place, bool on);

/* Removes a name from a place (no effect on the abstract one), and the folder if it is ours and
 * nothing else is in it. */
void ferry_place_remove(struct ferry_place *place, const char *name);

#endif
