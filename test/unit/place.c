/*
 * Places, meeting at them, and segments there.
 */
#include "unit.h"

#include "auth.h"
#include "child.h"
#include "clock.h"
#include "meet.h"
#include "place.h"
#include "segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

static char directory[64];
static uint8_t key[16] = "job's secret key";

/* A directory in memory, so that a segment can be a file in it. */
static int make_directory(void **state)
{
    strcpy(directory,
           access("/dev/shm", W_OK) == 0 ? "/dev/shm/place-XXXXXX" : "/tmp/place-XXXXXX");
    ferry_random(key, sizeof(key));
    return mkdtemp(directory) == NULL;
}

static int remove_directory(void **state)
{
    char command[100];

    snprintf(command, sizeof(command), "rm -rf %s", directory);
    return system(command);
}

/* How many entries a directory has. */
static unsigned entries(const char *path)
{
    DIR *dir = opendir(path);
    unsigned count = 0;

    if (!dir)
        return 1000;
    while (readdir(dir))
        count++;
    closedir(dir);
    return count - 2;
}

/* The place of the test directory, as FERRY_DIR names it. In a child only, since FERRY_DIR is read once. */
static void open_named(struct ferry_place *place)
{
    struct ferry_place places[FERRY_PLACES_MAX];

    setenv("FERRY_DIR", directory, 1);
    check(ferry_places_open(places) == 2);
    check(places[0].abstract && !places[1].abstract);
    check(!places[1].own_only);
    check(strcmp(places[1].path, directory) == 0);
    *place = places[1];
}

static void open_abstract(struct ferry_place *place)
{
    *place = (struct ferry_place){.abstract = true, .own_only = true, .fd = -1};
}

/* ---- Places ---- */

static void names_are_secret(void **state)
{
    char a[FERRY_NAME_SIZE], b[FERRY_NAME_SIZE];
    uint8_t other[16] = "another key";

    ferry_place_name(key, "door", "x", 1, a);
    ferry_place_name(key, "door", "x", 1, b);
    assert_string_equal(a, b);
    assert_true(strlen(a) >= 32);
    ferry_place_name(key, "door", "y", 1, b);
    assert_string_not_equal(a, b);
    ferry_place_name(key, "file", "x", 1, b);
    assert_string_not_equal(a, b);
    ferry_place_name(other, "door", "x", 1, b);
    assert_string_not_equal(a, b);
}

static void use_a_folder_of_ones_own(void)
{
    struct ferry_place places[FERRY_PLACES_MAX];
    struct stat info;
    char shm_folder[PATH_MAX];
    unsigned count, found = 0;

    unsetenv("FERRY_DIR");
    setenv("XDG_RUNTIME_DIR", directory, 1);
    count = ferry_places_open(places);
    check(count >= 2 && count <= FERRY_PLACES_MAX);
    check(places[0].abstract);
    for (unsigned i = 1; i < count; i++) {
        check(places[i].own_only && fstat(places[i].fd, &info) == 0);
        check(S_ISDIR(info.st_mode) && (info.st_mode & 0777) == 0700);
        check(info.st_uid == geteuid());
        check(fcntl(places[i].fd, F_GETFD) & FD_CLOEXEC);
        if (strcmp(places[i].shown, directory) == 0) {
            snprintf(shm_folder, sizeof(shm_folder), "%s", places[i].path);
            found++;
        }
    }
    check(found == 1);
    check(strncmp(shm_folder, directory, strlen(directory)) == 0);
    check(entries(directory) == 1);
    /* The next process finds the same. */
    ferry_places_close(places, count);
    check(ferry_places_open(places) == count);
    check(entries(directory) == 1);
    /* It goes with the last name in it, and comes again when it is wanted. */
    for (unsigned i = 1; i < count; i++)
        if (strcmp(places[i].path, shm_folder) == 0) {
            ferry_place_remove(&places[i], "nothing");
            check(entries(directory) == 0);
            check(ferry_place_reopen(&places[i]) == 0);
            check(entries(directory) == 1);
        }
}

static void a_folder_of_ones_own(void **state)
{
    assert_int_equal(child_run(use_a_folder_of_ones_own), 0);
}

/* Another folder is made in place of this one, and goes when it is not needed. */
static void check_not_used(const char *path, unsigned expected)
{
    struct ferry_place places[FERRY_PLACES_MAX];
    unsigned count = ferry_places_open(places), others = 0;

    check(count == expected);
    for (unsigned i = 1; i < count; i++) {
        check(strcmp(places[i].path, path) != 0);
        if (strcmp(places[i].shown, directory) == 0) {
            ferry_place_remove(&places[i], "nothing");
            others++;
        }
    }
    check(others == 1 && entries(directory) == 1);
    ferry_places_close(places, count);
}

/* A folder with the right name that others can write to, or that is a link, is not used. */
static void use_no_folder_that_others_made(void)
{
    struct ferry_place places[FERRY_PLACES_MAX];
    char path[PATH_MAX], name[64] = "", aside[80];
    unsigned count;
    struct dirent *entry;
    DIR *dir;

    unsetenv("FERRY_DIR");
    setenv("XDG_RUNTIME_DIR", directory, 1);
    count = ferry_places_open(places);
    ferry_places_close(places, count);
    dir = opendir(directory);
    while ((entry = readdir(dir)))
        if (entry->d_name[0] != '.' || strlen(entry->d_name) > 2)
            snprintf(name, sizeof(name), "%s", entry->d_name);
    closedir(dir);
    check(name[0]);
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    check(chmod(path, 0777) == 0);
    check_not_used(path, count);
    snprintf(aside, sizeof(aside), "%s.aside", directory);
    check(chmod(path, 0700) == 0 && rename(path, aside) == 0);
    check(symlink(aside, path) == 0);
    check_not_used(path, count);
    check(rmdir(aside) == 0);
}

static void no_folder_that_others_made(void **state)
{
    assert_int_equal(child_run(use_no_folder_that_others_made), 0);
}

/* ---- Meeting ---- */

static int fd_to_hand_over(void)
{
    int fd = memfd_create("handed", MFD_CLOEXEC);

    check(write(fd, "handed over", 12) == 12);
    return fd;
}

static void meet_at(struct ferry_place *place)
{
    char name[FERRY_NAME_SIZE], text[12];
    uint8_t wrong[16] = "not the key";
    struct ferry_meet_door *door;
    int listener, second, fd, got, silent[20];
    uint64_t begin = ferry_now_ns();
    uint8_t proof_key[16];

    memcpy(proof_key, key, 16);
    ferry_place_name(key, "test door", "", 0, name);
    check(ferry_meet_join(place, name, key, 1, &got) == -ENOENT);
    check(ferry_meet_claim(place, name, &listener) == 0);
    check(fcntl(listener, F_GETFD) & FD_CLOEXEC);
    check(ferry_meet_claim(place, name, &second) == -EADDRINUSE);
    fd = fd_to_hand_over();
    check(ferry_meet_serve(place, listener, proof_key, fd, &door) == 0);
    for (uint32_t rank = 1; rank < 20; rank++) {
        /* Whoever says nothing keeps nobody else waiting. */
        silent[rank] = ferry_meet_knock(place, name);
        check(silent[rank] >= 0);
        check(ferry_meet_join(place, name, key, rank, &got) == 0);
        check(got != fd && (fcntl(got, F_GETFD) & FD_CLOEXEC));
        check(pread(got, text, 12, 0) == 12 && strcmp(text, "handed over") == 0);
        close(got);
    }
    check(ferry_now_ns() - begin < 4000000000u);
    /* Who does not know the key gets nothing. */
    check(ferry_meet_join(place, name, wrong, 1, &got) < 0);
    check(ferry_meet_join(place, name, key, 1, &got) == 0);
    close(got);
    ferry_meet_end(door);
    check(ferry_now_ns() - begin < 4500000000u);
    for (uint32_t rank = 1; rank < 20; rank++)
        close(silent[rank]);
    ferry_place_remove(place, name);
    check(ferry_meet_join(place, name, key, 1, &got) == -ENOENT);
    check(ferry_meet_claim(place, name, &listener) == 0);
    ferry_place_remove(place, name);
}

static void meet_at_an_abstract_name(void)
{
    struct ferry_place place;

    open_abstract(&place);
    meet_at(&place);
}

static void meet_in_a_directory(void)
{
    struct ferry_place place;

    open_named(&place);
    meet_at(&place);
    check(entries(directory) == 0);
}

static void meeting(void **state)
{
    assert_int_equal(child_run(meet_at_an_abstract_name), 0);
    assert_int_equal(child_run(meet_in_a_directory), 0);
}

/* Another job, which ends, may remove the folder when it finds it empty; then another makes it again. */
static void claim_in_a_folder_made_again(void)
{
    struct ferry_place place = {.own_only = true, .fd = -1};
    char name[FERRY_NAME_SIZE];
    int listener;

    snprintf(place.path, sizeof(place.path), "%s/folder", directory);
    check(mkdir(place.path, S_IRWXU) == 0);
    check(ferry_place_reopen(&place) == 0);
    for (int again = 0; again < 2; again++) {
        check(rmdir(place.path) == 0);
        check(!again || mkdir(place.path, S_IRWXU) == 0);
        ferry_place_name(key, "test again", &again, sizeof(again), name);
        check(ferry_meet_claim(&place, name, &listener) == 0);
        check(entries(place.path) == 1);
        ferry_place_remove(&place, name); /* and the folder with it */
        check(mkdir(place.path, S_IRWXU) == 0);
    }
}

static void a_folder_made_again(void **state)
{
    assert_int_equal(child_run(claim_in_a_folder_made_again), 0);
}

/* A socket that another host made in a directory of the network, or its owner left when it died: at once. */
static void join_nobody(void)
{
    struct ferry_place place;
    char name[FERRY_NAME_SIZE];
    int listener, got;
    uint64_t begin;

    open_named(&place);
    ferry_place_name(key, "test nobody", "", 0, name);
    check(ferry_meet_claim(&place, name, &listener) == 0);
    close(listener);
    begin = ferry_now_ns();
    check(ferry_meet_join(&place, name, key, 1, &got) == -ENOENT);
    check(ferry_now_ns() - begin < 1000000000);
    ferry_place_remove(&place, name);
}

static void nobody(void **state)
{
    assert_int_equal(child_run(join_nobody), 0);
}

/* A door whose listener knows another key: whoever joins must not take what it hands out. */
static void meet_an_impostor(void)
{
    struct ferry_place place;
    char name[FERRY_NAME_SIZE];
    uint8_t wrong[16] = "not the key";
    struct ferry_meet_door *door;
    int listener, got = -7;

    open_abstract(&place);
    ferry_place_name(key, "test impostor", "", 0, name);
    check(ferry_meet_claim(&place, name, &listener) == 0);
    check(ferry_meet_serve(&place, listener, wrong, fd_to_hand_over(), &door) == 0);
    check(ferry_meet_join(&place, name, key, 1, &got) < 0);
    ferry_meet_end(door);
}

static void an_impostor(void **state)
{
    assert_int_equal(child_run(meet_an_impostor), 0);
}

/* ---- What the dead left ---- */

static void leave_names(void)
{
    struct ferry_place place;
    char name[FERRY_NAME_SIZE];
    int listener, fd;

    open_named(&place);
    ferry_place_name(key, "left socket", "", 0, name);
    check(ferry_meet_claim(&place, name, &listener) == 0);
    ferry_place_name(key, "left file", "", 0, name);
    if (ferry_segment_file(&place, 1 << 20, &fd) == 0)
        check(ferry_segment_file_publish(&place, name, fd) == 0);
}

static void leave_and_be_killed(void)
{
    leave_names();
    kill(getpid(), SIGKILL);
}

static void leave_and_live(void)
{
    leave_names();
    pause();
}

static void sweep(void)
{
    struct ferry_place place;

    open_named(&place);
}

static void the_next_removes_what_the_dead_left(void **state)
{
    assert_int_equal(child_run(leave_and_be_killed), -SIGKILL);
    assert_in_range(entries(directory), 1, 2);
    assert_int_equal(child_run(sweep), 0);
    assert_int_equal(entries(directory), 0);
}

/* As in the middle of taking a name: bound to the name before, and nobody listens yet. */
static void begin_to_name(void)
{
    struct ferry_place place;
    struct sockaddr_un address;
    socklen_t length;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

    open_named(&place);
    ferry_place_naming(&place, true);
    length = ferry_place_address(&place, "ferry-0123456789abcdef0123456789abcdef.1" FERRY_NASCENT,
                                 &address);
    check(bind(fd, (struct sockaddr *) &address, length) == 0);
    pause();
}

static void names_that_are_being_taken(void **state)
{
    pid_t child = child_start(begin_to_name);

    for (unsigned i = 0; i < 1000 && entries(directory) == 0; i++)
        usleep(10000);
    assert_int_equal(child_run(sweep), 0);
    assert_int_equal(entries(directory), 1);
    kill(child, SIGKILL);
    child_end(child);
    assert_int_equal(child_run(sweep), 0);
    assert_int_equal(entries(directory), 0);
}

static void the_next_leaves_alone_what_the_living_use(void **state)
{
    pid_t child = child_start(leave_and_live);
    unsigned before;

    for (unsigned i = 0; i < 1000 && entries(directory) == 0; i++)
        usleep(10000);
    usleep(200000);
    before = entries(directory);
    assert_in_range(before, 1, 2);
    assert_int_equal(child_run(sweep), 0);
    assert_int_equal(entries(directory), before);
    kill(child, SIGKILL);
    child_end(child);
    assert_int_equal(child_run(sweep), 0);
    assert_int_equal(entries(directory), 0);
}

static void put_strangers(void)
{
    static const char *const names[] = {"data",        "ferry",    "ferry-",
                                        "ferry-short", ".ferry-x", "x.new"};
    char path[PATH_MAX];

    for (unsigned i = 0; i < 6; i++) {
        int fd;

        snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
        fd = open(path, O_CREAT | O_WRONLY, 0600);
        check(fd >= 0);
        close(fd);
    }
    snprintf(path, sizeof(path), "%s/folder", directory);
    check(mkdir(path, 0700) == 0);
    sweep();
}

static void what_is_not_ferrys_stays(void **state)
{
    assert_int_equal(child_run(put_strangers), 0);
    assert_int_equal(entries(directory), 7);
}

/* ---- Segments ---- */

static void memfd_segments(void **state)
{
    uint64_t size;
    int fd, plain;

    assert_int_equal(ferry_segment_memfd(1ull << 40, &fd), 0);
    assert_int_equal(ferry_segment_check(fd, FERRY_SEGMENT_MEMFD, &size), 0);
    assert_int_equal(size, 1ull << 40);
    assert_true(ftruncate(fd, 0) != 0);
    assert_true(ftruncate(fd, 1ll << 41) != 0);
    assert_int_equal(ferry_segment_fill(fd, 1ull << 39, 1 << 20, 1), 0);
    close(fd);
    /* One that can be shrunk under us is refused. */
    plain = memfd_create("plain", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_int_equal(ftruncate(plain, 4096), 0);
    assert_int_equal(ferry_segment_check(plain, FERRY_SEGMENT_MEMFD, &size), -EPERM);
    close(plain);
    plain = open("/dev/null", O_RDWR);
    assert_int_equal(ferry_segment_check(plain, FERRY_SEGMENT_MEMFD, &size), -EPERM);
    assert_int_equal(ferry_segment_check(plain, FERRY_SEGMENT_FILE, &size), -EPERM);
    close(plain);
}

static void use_file_segments(void)
{
    struct ferry_place place;
    struct statfs fs;
    struct stat info;
    uint64_t size;
    int fd, other;

    open_named(&place);
    check(fstatfs(place.fd, &fs) == 0);
    if (fs.f_type != 0x01021994) { /* not in memory */
        check(ferry_segment_file(&place, 1 << 20, &fd) == -ENODEV);
        return;
    }
    check(ferry_segment_file_open(&place, "ferry-none", &other) == -ENOENT);
    check(ferry_segment_file(&place, 1ull << 40, &fd) == 0);
    check(entries(directory) == 0);
    check(ferry_segment_file_publish(&place, "ferry-one", fd) == 0);
    check(ferry_segment_file_publish(&place, "ferry-one", fd) == -EEXIST);
    check(ferry_segment_file_open(&place, "ferry-one", &other) == 0);
    check(ferry_segment_check(other, FERRY_SEGMENT_FILE, &size) == 0 && size == 1ull << 40);
    check(fstat(other, &info) == 0 && (info.st_mode & 0777) == 0600);
    check(ferry_segment_fill(fd, 0, 1 << 16, 1) == 0);
    check(fstat(other, &info) == 0 && info.st_blocks * 512 == 1 << 16);
    ferry_place_remove(&place, "ferry-one");
    /* A link is not followed. */
    check(symlinkat("/etc/passwd", place.fd, "ferry-link") == 0);
    check(ferry_segment_file_open(&place, "ferry-link", &other) < 0);
}

static void file_segments(void **state)
{
    assert_int_equal(child_run(use_file_segments), 0);
}

/* More than there is is refused before the kernel kills somebody for it. */
static void too_much(void **state)
{
    int fd;

    assert_int_equal(ferry_segment_memfd(1ull << 42, &fd), 0);
    assert_int_equal(ferry_segment_fill(fd, 0, 1ull << 42, 1), -ENOSPC);
    close(fd);
}

#define in_directory(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_secret),
        in_directory(a_folder_of_ones_own),
        in_directory(no_folder_that_others_made),
        in_directory(meeting),
        in_directory(nobody),
        in_directory(an_impostor),
        in_directory(the_next_removes_what_the_dead_left),
        in_directory(names_that_are_being_taken),
        in_directory(the_next_leaves_alone_what_the_living_use),
        in_directory(what_is_not_ferrys_stays),
        in_directory(a_folder_made_again),
        cmocka_unit_test(memfd_segments),
        in_directory(file_segments),
        cmocka_unit_test(too_much),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
