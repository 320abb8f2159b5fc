/*
 * Which places and ways of copying there are here, found out as a job would: by using them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "auth.h"
#include "config.h"
#include "list.h"
#include "shm.h"
#include "survey.h"

/* ---- Places ---- */

static int try_memfd(struct ferry_place *place, const uint8_t key[16])
{
    char name[FERRY_NAME_SIZE];
    int fd, error = ferry_segment_memfd(4096, &fd);

    if (error)
        return error;
    close(fd);
    ferry_place_name(key, "ferry survey", "", 0, name);
    error = ferry_meet_claim(place, name, &fd);
    if (error)
        return error;
    close(fd);
    ferry_place_remove(place, name);
    return 0;
}

static int try_file(struct ferry_place *place)
{
    int fd, error = ferry_segment_file(place, 4096, &fd);

    if (!error)
        close(fd);
    return error;
}

/* Why there is no board: the kinds of segments are tried one by one, for what a board tells it only logs. */
static void add_refusal(struct ferry_survey *survey, struct ferry_place *place,
                        const uint8_t key[16])
{
    const char *segments = ferry_config()->segment;
    char memfd[96] = "", file[96] = "";
    int error;

    if (ferry_list_has(segments, "memfd")) {
        error = try_memfd(place, key);
        snprintf(memfd, sizeof(memfd), "; memfd: %s",
                 error ? strerror(-error) : "no memory could be had");
    }
    if (ferry_list_has(segments, "file")) {
        error = try_file(place);
        snprintf(file, sizeof(file), "; file: %s",
                 error == -ENODEV ? "not in memory (tmpfs)"
                 : error          ? strerror(-error)
                                  : "no memory could be had");
    }
    ferry_survey_add(survey, place->shown, "not usable%s%s", memfd, file);
}

static void survey_place(struct ferry_survey *survey, struct ferry_place *place, unsigned index,
                         const struct ferry_board_params *params)
{
    struct ferry_board *board = ferry_board_join(place, index, params);

    if (!board) {
        add_refusal(survey, place, params->key);
        return;
    }
    survey->usable = true;
    ferry_survey_add(survey, place->shown, "meets %s by %s",
                     place->abstract   ? "processes of this user there"
                     : place->own_only ? "processes of this user"
                                       : "processes of all users that hold the job's key",
                     ferry_board_kind(board) == FERRY_SEGMENT_MEMFD ? "memfd"
                                                                    : "a file in that directory");
    ferry_board_leave(board);
}

static bool is_place(const struct ferry_place *places, unsigned count, const char *directory)
{
    for (unsigned i = 1; i < count; i++)
        if (!strcmp(places[i].shown, directory))
            return true;
    return false;
}

/* Directories of FERRY_DIR that are no places. */
static void add_absent(struct ferry_survey *survey, const struct ferry_place *places,
                       unsigned count)
{
    const char *cursor = ferry_config()->dir;
    char item[FERRY_PATH_MAX];

    while (ferry_list_next(&cursor, item, sizeof(item))) {
        const char *directory = item[0] == '$' ? getenv(item + 1) : item;

        if (!directory || directory[0] != '/')
            ferry_survey_add(survey, item, "not usable: %s", directory ? "no path" : "not set");
        else if (is_place(places, count, directory))
            continue;
        else if (faccessat(AT_FDCWD, directory, W_OK | X_OK, AT_EACCESS))
            ferry_survey_add(survey, directory, "not usable: %s", strerror(errno));
        else
            ferry_survey_add(survey, directory, "not usable: no folder of the user's own there");
    }
}

static void survey_places(struct ferry_survey *survey)
{
    static const uint8_t probe[16];
    uint8_t key[16], nonce[16];
    struct ferry_quota quota = ferry_quota("");
    struct ferry_place places[FERRY_PLACES_MAX];
    struct ferry_board_params params = {
        .key = key, .nonce = nonce, .size = 1, .quota = &quota, .probe = probe};
    unsigned count;

    ferry_random(key, sizeof(key));
    ferry_random(nonce, sizeof(nonce));
    count = ferry_places_open(places);
    ferry_boards_lock_again();
    for (unsigned i = 0; i < count; i++) {
        survey_place(survey, &places[i], i, &params);
        if (places[i].own_only)
            ferry_place_remove(&places[i], ""); /* the folder, where nobody else is in it */
    }
    add_absent(survey, places, count);
    ferry_places_close(places, count);
}

/* ---- Ways of copying ---- */

static int try_cma(void)
{
    char from = 1, to = 0;
    struct iovec local = {.iov_base = &to, .iov_len = 1},
                 remote = {.iov_base = &from, .iov_len = 1};

    return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == 1 ? 0 : -errno;
}

static int try_mem(void)
{
    char from = 1, to = 0;
    int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC), error = 0;

    if (fd < 0)
        return -errno;
    if (pread(fd, &to, 1, (off_t) (uintptr_t) &from) != 1)
        error = -EIO;
    close(fd);
    return error;
}

static void survey_copies(struct ferry_survey *survey)
{
    static const struct {
        const char *word, *label;
        int (*attempt)(void);
    } ways[] = {{"cma", "one copy by cma", try_cma}, {"mem", "one copy by mem", try_mem}};

    for (unsigned i = 0; i < 2; i++) {
        int error = ways[i].attempt();

        if (!ferry_list_has(ferry_config()->copy, ways[i].word))
            ferry_survey_add(survey, ways[i].label, "not allowed by FERRY_COPY");
        else if (error)
            ferry_survey_add(survey, ways[i].label, "allowed, but refused here: %s",
                             strerror(-error));
        else
            ferry_survey_add(survey, ways[i].label,
                             "allowed, and works within this process; tried with each peer");
    }
}

void ferry_shm_survey(struct ferry_survey *survey)
{
    survey_places(survey);
    survey_copies(survey);
    if (!survey->usable)
        ferry_survey_fail(survey,
                          "let FERRY_SEGMENT name memfd, or mount a directory in memory that this "
                          "user can write to and name it in FERRY_DIR",
                          "no place can be used with FERRY_SEGMENT=%s", ferry_config()->segment);
}
