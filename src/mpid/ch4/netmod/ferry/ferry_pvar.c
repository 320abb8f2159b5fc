/*
 * MPI_T's performance variables: Ferry's counters, to be read.
 *
 * Always there, whatever configure was told of MPICH's own: they cost nothing until they are read. They go on by
 * themselves and belong to the process, so no session starts, stops or resets them.
 */
#include "ferry_impl.h"

#define COUNTERS_MAX 64

/* By index: what was read last, which holds after MPI_Finalize. */
static uint64_t values[COUNTERS_MAX];

static void read_value(void *addr, void *object, int count, void *buffer)
{
    uint64_t *value = addr;

    /* Without a context there are no locks either. */
    if (MPIDI_FERRY_global.context != NULL) {
        MPID_THREAD_CS_ENTER(GLOBAL, MPIR_THREAD_GLOBAL_ALLFUNC_MUTEX);
        MPID_THREAD_CS_ENTER(VCI, MPIDI_VCI(0).lock);
        *value = ferry_counter_value(MPIDI_FERRY_global.context, (unsigned) (value - values));
        MPID_THREAD_CS_EXIT(VCI, MPIDI_VCI(0).lock);
        MPID_THREAD_CS_EXIT(GLOBAL, MPIR_THREAD_GLOBAL_ALLFUNC_MUTEX);
    }
    *(unsigned long long *) buffer = *value;
}

static MPIR_T_pvar_class_t class_of(ferry_counter_kind_t kind)
{
    switch (kind) {
    case FERRY_COUNTER_TIME:
        return MPI_T_PVAR_CLASS_TIMER;
    case FERRY_COUNTER_LEVEL:
        return MPI_T_PVAR_CLASS_LEVEL;
    default:
        return MPI_T_PVAR_CLASS_COUNTER;
    }
}

/* Called once, in MPI_Init. */
void MPIDI_FERRY_pvar_init(void)
{
    ferry_counter_t counter;
    char help[256];

    for (unsigned i = 0; i < COUNTERS_MAX && ferry_counter(i, &counter); i++) {
        snprintf(help, sizeof help, counter.unit[0] == '\0' ? "%s" : "%s (%s)", counter.help,
                 counter.unit);
        MPIR_T_PVAR_REGISTER_impl(class_of(counter.kind), MPI_UNSIGNED_LONG_LONG, counter.name,
                                  &values[i], 1, MPI_T_ENUM_NULL, MPI_T_VERBOSITY_USER_BASIC,
                                  MPI_T_BIND_NO_OBJECT,
                                  MPIR_T_PVAR_FLAG_READONLY | MPIR_T_PVAR_FLAG_CONTINUOUS,
                                  read_value, NULL, "FERRY", help);
    }
}

/* To be called before the context is closed. */
void MPIDI_FERRY_pvar_keep(void)
{
    for (unsigned i = 0; i < COUNTERS_MAX; i++)
        values[i] = ferry_counter_value(MPIDI_FERRY_global.context, i);
}
