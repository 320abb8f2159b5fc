#include "unit.h"

#include "child.h"
#include "fault.h"

#include <string.h>
#include <sys/mman.h>

#define LENGTH 16384

/* Memory of a file that is truncated afterwards. */
static char *make(int *fd)
{
    char *memory;

    *fd = memfd_create("fault", MFD_CLOEXEC);
    check(*fd >= 0 && ftruncate(*fd, LENGTH) == 0);
    memory = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
    check(memory != MAP_FAILED);
    memset(memory, 1, LENGTH);
    return memory;
}

static void touch_guarded(void)
{
    static _Atomic bool flag, other;
    int fd, other_fd;
    volatile char *memory = make(&fd), *other_memory = make(&other_fd);

    check(ferry_fault_guard((void *) memory, LENGTH, &flag) == 0);
    check(ferry_fault_guard((void *) other_memory, LENGTH, &other) == 0);
    memory[0] = 2;
    check(!flag);
    check(ftruncate(fd, 0) == 0);
    memory[5000] = 3;
    check(flag && !other);
    check(memory[5000] == 3 && memory[0] == 0); /* memory of its own */
    memory[LENGTH - 1] = 4;
    check(other_memory[7] == 1);
    ferry_fault_unguard((void *) memory);
    ferry_fault_unguard((void *) other_memory);
}

static void touching_is_survived(void **state)
{
    assert_int_equal(child_run(touch_guarded), 0);
}

static void touch_unguarded(void)
{
    static _Atomic bool flag;
    int fd, guarded_fd;
    volatile char *memory = make(&fd), *guarded = make(&guarded_fd);

    check(ferry_fault_guard((void *) guarded, LENGTH, &flag) == 0);
    check(ftruncate(fd, 0) == 0);
    memory[0] = 1;
}

static void touch_behind(void)
{
    static _Atomic bool flag;
    int fd;
    volatile char *memory = make(&fd);

    check(ferry_fault_guard((void *) memory, LENGTH / 2, &flag) == 0);
    check(ftruncate(fd, 0) == 0);
    memory[LENGTH / 2] = 1;
}

static void touch_when_no_longer_guarded(void)
{
    static _Atomic bool flag;
    int fd;
    volatile char *memory = make(&fd);

    check(ferry_fault_guard((void *) memory, LENGTH, &flag) == 0);
    ferry_fault_unguard((void *) memory);
    check(ftruncate(fd, 0) == 0);
    memory[0] = 1;
}

/* A sanitizer ends a process by itself. */
static bool ended_by_fault(void (*body)(void))
{
    int status = child_run(body);

    return status == -SIGBUS || status == -SIGABRT || status == 1;
}

static void other_faults_kill_as_before(void **state)
{
    assert_true(ended_by_fault(touch_unguarded));
    assert_true(ended_by_fault(touch_behind));
    assert_true(ended_by_fault(touch_when_no_longer_guarded));
}

static void *handled_address;

static void own_handler(int number, siginfo_t *info, void *context)
{
    handled_address = info->si_addr;
    _exit(info->si_signo == SIGBUS ? 42 : 1);
}

static void touch_with_own_handler(void)
{
    struct sigaction action = {.sa_sigaction = own_handler, .sa_flags = SA_SIGINFO};

    check(sigaction(SIGBUS, &action, NULL) == 0);
    touch_unguarded();
}

static void other_faults_reach_the_programs_handler(void **state)
{
    assert_int_equal(child_run(touch_with_own_handler), 42);
}

static void guard_many(void)
{
    static _Atomic bool flags[100];
    char *memory[100];
    int fd[100];

    for (unsigned round = 0; round < 100; round++) {
        for (unsigned i = 0; i < 100; i++) {
            memory[i] = make(&fd[i]);
            check(ferry_fault_guard(memory[i], LENGTH, &flags[i]) == 0);
        }
        check(ftruncate(fd[round], 0) == 0);
        ((volatile char *) memory[round])[100] = 1;
        for (unsigned i = 0; i < 100; i++) {
            check(flags[i] == (i == round));
            flags[i] = false;
            ferry_fault_unguard(memory[i]);
            munmap(memory[i], LENGTH);
            close(fd[i]);
        }
    }
}

static void ranges_are_used_again(void **state)
{
    assert_int_equal(child_run(guard_many), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(touching_is_survived),
        cmocka_unit_test(other_faults_kill_as_before),
        cmocka_unit_test(other_faults_reach_the_programs_handler),
        cmocka_unit_test(ranges_are_used_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
