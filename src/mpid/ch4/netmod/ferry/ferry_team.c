/*
 * Teams of communicators: made when a communicator is used repeatedly, ended with it.
 */
#include "ferry_team.h"

/* A communicator that is used for fewer collective operations is not worth a team. */
#define CALLS 8

static MPIDI_FERRY_team_t *teams; /* all of this process */

static bool shares_memory(MPIR_Comm *comm)
{
    uint32_t node;

    if (comm->comm_kind != MPIR_COMM_KIND__INTRACOMM || comm->local_size < 2 ||
        comm->local_size > MPIDI_FERRY_NEAR_MAX || MPIDI_FERRY_global.context == NULL)
        return false;
    node = ferry_peer_node(MPIDI_FERRY_peer(comm, 0));
    for (int i = 0; i < comm->local_size; i++)
        if (ferry_peer_node(MPIDI_FERRY_peer(comm, i)) != node)
            return false;
    return node != UINT32_MAX;
}

bool MPIDI_FERRY_is_near(MPIR_Comm *comm)
{
    MPIDI_FERRY_comm_t *ours = &MPIDI_FERRY_COMM(comm);

    if (!ours->is_seen) {
        ours->is_near = shares_memory(comm);
        ours->is_seen = true;
    }
    return ours->is_near;
}

static int join(MPIR_Comm *comm, uint64_t name, ferry_team_t **team)
{
    ferry_peer_t *peers[MPIDI_FERRY_NEAR_MAX];

    for (int i = 0; i < comm->local_size; i++)
        peers[i] = MPIDI_FERRY_peer(comm, i);
    return ferry_team_join(MPIDI_FERRY_global.context, name, (uint32_t) comm->local_size,
                           MPIDI_FERRY_TEAM_AREA, peers, (uint32_t) comm->rank, team);
}

static MPIDI_FERRY_team_t *wrap(MPIR_Comm *comm, ferry_team_t *ferry)
{
    MPIDI_FERRY_team_t *team = MPL_calloc(1, sizeof(*team), MPL_MEM_COMM);

    if (team == NULL)
        return NULL;
    team->ferry = ferry;
    team->size = comm->local_size;
    team->rank = comm->rank;
    return team;
}

/* All processes of the communicator are here at the same time: they agree whether all have joined. Where one could
 * not, or an error came in between, messages do. */
static MPIDI_FERRY_team_t *make(MPIR_Comm *comm)
{
    ferry_context_t *context = MPIDI_FERRY_global.context;
    MPIR_Errflag_t errflag = MPIR_ERR_NONE;
    uint32_t members = (uint32_t) comm->local_size;
    MPIDI_FERRY_team_t *team = NULL;
    ferry_team_t *ferry = NULL;
    uint64_t name = 0;
    int joined, all = 0;

    if (comm->rank == 0 && ferry_team_make(context, members, MPIDI_FERRY_TEAM_AREA, &name) < 0)
        name = 0;
    if (MPIR_Bcast_impl(&name, sizeof name, MPI_BYTE, 0, comm, &errflag) != MPI_SUCCESS ||
        name == 0)
        return NULL;
    if (join(comm, name, &ferry) == 0)
        team = wrap(comm, ferry);
    joined = team != NULL;
    if (MPIR_Allreduce_impl(&joined, &all, 1, MPI_INT, MPI_MIN, comm, &errflag) != MPI_SUCCESS)
        all = 0;
    if (all)
        return team;
    if (ferry != NULL)
        ferry_team_leave(ferry);
    MPL_free(team);
    if (comm->rank == 0)
        ferry_team_unmake(context, members, MPIDI_FERRY_TEAM_AREA, name);
    return NULL;
}

MPIDI_FERRY_team_t *MPIDI_FERRY_team_find(MPIR_Comm *comm)
{
    MPIDI_FERRY_comm_t *ours = &MPIDI_FERRY_COMM(comm);

    if (ours->calls++ == 0)
        ours->is_alone = !MPIDI_FERRY_is_near(comm);
    if (ours->is_alone || ours->calls < CALLS)
        return NULL;
    ours->team = make(comm);
    if (ours->team != NULL) {
        ours->team->next = teams;
        ours->team->comm = ours;
        teams = ours->team;
    } else {
        ours->is_alone = true;
    }
    return ours->team;
}

void MPIDI_FERRY_team_leave(MPIDI_FERRY_comm_t *ours)
{
    MPIDI_FERRY_team_t *team = ours->team, **link = &teams;

    if (team == NULL)
        return;
    while (*link != team)
        link = &(*link)->next;
    *link = team->next;
    ferry_team_leave(team->ferry);
    MPL_free(team);
    ours->team = NULL;
}

void MPIDI_FERRY_teams_finalize(void)
{
    while (teams != NULL)
        MPIDI_FERRY_team_leave(teams->comm);
}
