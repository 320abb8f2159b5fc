/*
 * Handles in place of pointers.
 *
 * The headers of MPICH's generic layer carry pointers to requests of their sender, which come back in
 * the answer and are followed. Here, on the way out, a pointer to a request of ours is replaced by a
 * handle; what comes back is looked up, and must be a handle that stands, given to this peer, for a
 * request of the right kind. A pointer of the peer's is to us a number that we return: its handle.
 *
 * A handle is an index into a table and a generation. It stands until its request is complete; that of
 * a partitioned request, whose end nobody tells us, until there is another request in its place.
 */
#include "ferry_impl.h"

_Static_assert(sizeof(MPIR_Request *) == sizeof(uint64_t), "a handle takes the place of a pointer");

/* What a request is waiting for, and so which answers may name it. */
enum family {
    OF_NONE,
    OF_SEND,
    OF_SEND_TARGET,
    OF_PART_SEND,
    OF_PART_RECV,
    OF_PUT,
    OF_PUT_TARGET,
    OF_GET,
    OF_ACC,
    OF_ACC_TARGET,
    OF_GET_ACC,
    OF_GET_ACC_TARGET,
    OF_CSWAP,
};

/* What the header of a kind of message holds. Offsets are 0 where there is no such field. */
struct layout {
    uint16_t size;  /* of the header */
    uint16_t given; /* offset of the sender's own request */
    uint8_t given_family;
    uint8_t back_family;
    bool has_given, has_back;
    uint16_t back;      /* offset of the receiver's request */
    uint16_t flattened; /* offset of how many bytes of a datatype follow the header */
};

#define GIVES(type, field, family_) \
    .size = sizeof(type), .has_given = true, .given = offsetof(type, field), .given_family = family_
#define RETURNS(type, field, family_) \
    .size = sizeof(type), .has_back = true, .back = offsetof(type, field), .back_family = family_
#define FLATTENED(type) .flattened = offsetof(type, flattened_sz)

static const struct layout layouts[MPIDI_AM_HANDLERS_MAX] = {
    [MPIDIG_SEND] = {GIVES(MPIDIG_hdr_t, sreq_ptr, OF_SEND)},
    [MPIDIG_SEND_CTS] = {GIVES(MPIDIG_send_cts_msg_t, rreq_ptr, OF_SEND_TARGET),
                         RETURNS(MPIDIG_send_cts_msg_t, sreq_ptr, OF_SEND)},
    [MPIDIG_SEND_DATA] = {RETURNS(MPIDIG_send_data_msg_t, rreq_ptr, OF_SEND_TARGET)},
    [MPIDIG_SSEND_ACK] = {RETURNS(MPIDIG_ssend_ack_msg_t, sreq_ptr, OF_SEND)},

    [MPIDIG_PART_SEND_INIT] = {GIVES(MPIDIG_part_send_init_msg_t, sreq_ptr, OF_PART_SEND)},
    [MPIDIG_PART_CTS] = {GIVES(MPIDIG_part_cts_msg_t, rreq_ptr, OF_PART_RECV),
                         RETURNS(MPIDIG_part_cts_msg_t, sreq_ptr, OF_PART_SEND)},
    [MPIDIG_PART_SEND_DATA] = {RETURNS(MPIDIG_part_send_data_msg_t, rreq_ptr, OF_PART_RECV)},

    [MPIDIG_PUT_REQ] = {GIVES(MPIDIG_put_msg_t, preq_ptr, OF_PUT), FLATTENED(MPIDIG_put_msg_t)},
    [MPIDIG_PUT_ACK] = {RETURNS(MPIDIG_put_ack_msg_t, preq_ptr, OF_PUT)},
    [MPIDIG_PUT_DT_REQ] = {GIVES(MPIDIG_put_msg_t, preq_ptr, OF_PUT)},
    [MPIDIG_PUT_DAT_REQ] = {RETURNS(MPIDIG_put_dat_msg_t, preq_ptr, OF_PUT_TARGET)},
    [MPIDIG_PUT_DT_ACK] = {GIVES(MPIDIG_put_dt_ack_msg_t, target_preq_ptr, OF_PUT_TARGET),
                           RETURNS(MPIDIG_put_dt_ack_msg_t, origin_preq_ptr, OF_PUT)},

    [MPIDIG_GET_REQ] = {GIVES(MPIDIG_get_msg_t, greq_ptr, OF_GET)},
    [MPIDIG_GET_ACK] = {RETURNS(MPIDIG_get_ack_msg_t, greq_ptr, OF_GET)},

    [MPIDIG_ACC_REQ] = {GIVES(MPIDIG_acc_req_msg_t, req_ptr, OF_ACC),
                        FLATTENED(MPIDIG_acc_req_msg_t)},
    [MPIDIG_ACC_ACK] = {RETURNS(MPIDIG_acc_ack_msg_t, req_ptr, OF_ACC)},
    [MPIDIG_ACC_DT_REQ] = {GIVES(MPIDIG_acc_req_msg_t, req_ptr, OF_ACC)},
    [MPIDIG_ACC_DAT_REQ] = {RETURNS(MPIDIG_acc_dat_msg_t, preq_ptr, OF_ACC_TARGET)},
    [MPIDIG_ACC_DT_ACK] = {GIVES(MPIDIG_acc_dt_ack_msg_t, target_preq_ptr, OF_ACC_TARGET),
                           RETURNS(MPIDIG_acc_dt_ack_msg_t, origin_preq_ptr, OF_ACC)},

    [MPIDIG_GET_ACC_REQ] = {GIVES(MPIDIG_get_acc_req_msg_t, req_ptr, OF_GET_ACC),
                            FLATTENED(MPIDIG_get_acc_req_msg_t)},
    [MPIDIG_GET_ACC_ACK] = {RETURNS(MPIDIG_get_acc_ack_msg_t, req_ptr, OF_GET_ACC)},
    [MPIDIG_GET_ACC_DT_REQ] = {GIVES(MPIDIG_get_acc_req_msg_t, req_ptr, OF_GET_ACC)},
    [MPIDIG_GET_ACC_DAT_REQ] = {RETURNS(MPIDIG_get_acc_dat_msg_t, preq_ptr, OF_GET_ACC_TARGET)},
    [MPIDIG_GET_ACC_DT_ACK] = {GIVES(MPIDIG_get_acc_dt_ack_msg_t, target_preq_ptr,
                                     OF_GET_ACC_TARGET),
                               RETURNS(MPIDIG_get_acc_dt_ack_msg_t, origin_preq_ptr, OF_GET_ACC)},

    [MPIDIG_CSWAP_REQ] = {GIVES(MPIDIG_cswap_req_msg_t, req_ptr, OF_CSWAP)},
    [MPIDIG_CSWAP_ACK] = {RETURNS(MPIDIG_cswap_ack_msg_t, req_ptr, OF_CSWAP)},

    [MPIDIG_WIN_COMPLETE] = {.size = sizeof(MPIDIG_win_cntrl_msg_t)},
    [MPIDIG_WIN_POST] = {.size = sizeof(MPIDIG_win_cntrl_msg_t)},
    [MPIDIG_WIN_LOCK] = {.size = sizeof(MPIDIG_win_cntrl_msg_t)},
    [MPIDIG_WIN_LOCK_ACK] = {.size = sizeof(MPIDIG_win_cntrl_msg_t)},
    [MPIDIG_WIN_UNLOCK] = {.size = sizeof(MPIDIG_win_cntrl_msg_t)},
    [MPIDIG_WIN_UNLOCK_ACK] = {.size = sizeof(MPIDIG_win_cntrl_msg_t)},
    [MPIDIG_WIN_LOCKALL] = {.size = sizeof(MPIDIG_win_cntrl_msg_t)},
    [MPIDIG_WIN_LOCKALL_ACK] = {.size = sizeof(MPIDIG_win_cntrl_msg_t)},
    [MPIDIG_WIN_UNLOCKALL] = {.size = sizeof(MPIDIG_win_cntrl_msg_t)},
    [MPIDIG_WIN_UNLOCKALL_ACK] = {.size = sizeof(MPIDIG_win_cntrl_msg_t)},
};

/* ---- The table ---- */

struct entry {
    MPIR_Request *request; /* NULL: free */
    ferry_peer_t *peer;
    uint32_t generation; /* never 0 */
    uint32_t next_free;  /* index + 1 */
    uint8_t family;
};

static struct {
    struct entry *entries;
    uint32_t room;
    uint32_t first_free; /* index + 1; 0: none */
} table;

static uint64_t handle_of(uint32_t index)
{
    return (uint64_t) table.entries[index].generation << 32 | index;
}

/* The entry that a handle stands for, or NULL. */
static struct entry *find(uint64_t handle)
{
    uint32_t index = (uint32_t) handle;
    if (index >= table.room || table.entries[index].request == NULL ||
        table.entries[index].generation != handle >> 32)
        return NULL;
    return &table.entries[index];
}

static void release(struct entry *entry)
{
    entry->request = NULL;
    if (++entry->generation == 0)
        entry->generation = 1;
    entry->next_free = table.first_free;
    table.first_free = (uint32_t) (entry - table.entries) + 1;
}

static bool grow(void)
{
    uint32_t room = table.room == 0 ? 64 : table.room * 2;
    struct entry *entries = MPL_realloc(table.entries, room * sizeof *entries, MPL_MEM_OTHER);
    if (entries == NULL)
        return false;

    table.entries = entries;
    for (uint32_t i = room; i-- > table.room;) {
        entries[i] = (struct entry){.generation = 1, .next_free = table.first_free};
        table.first_free = i + 1;
    }
    table.room = room;
    return true;
}

/* Where a request keeps its handle. */
static uint64_t *place_of(MPIR_Request *request, enum family family)
{
    if (family == OF_PART_SEND || family == OF_PART_RECV)
        return &MPIDI_PART_REQUEST(request, netmod.ferry).handle;
    return &MPIDI_FERRY_AMREQ(request).handle;
}

/* The handle by which a peer may name a request; 0: no memory. */
static uint64_t give(MPIR_Request *request, enum family family, ferry_peer_t *peer)
{
    uint64_t *place = place_of(request, family);
    struct entry *entry = find(*place);
    if (entry != NULL && entry->request == request && entry->family == family &&
        entry->peer == peer)
        return *place;

    if (family == OF_PART_SEND || family == OF_PART_RECV) {
        /* Its place may have been that of a request that is gone. */
        for (uint32_t i = 0; i < table.room; i++)
            if (table.entries[i].request == request)
                release(&table.entries[i]);
    }
    if (table.first_free == 0 && !grow())
        return 0;
    uint32_t index = table.first_free - 1;
    entry = &table.entries[index];
    table.first_free = entry->next_free;
    entry->request = request;
    entry->peer = peer;
    entry->family = (uint8_t) family;
    *place = handle_of(index);
    return *place;
}

void MPIDI_FERRY_handle_release(uint64_t handle)
{
    struct entry *entry = find(handle);
    if (entry != NULL)
        release(entry);
}

/* ---- Headers ---- */

bool MPIDI_FERRY_handles_out(int handler_id, void *header, ferry_peer_t *peer)
{
    const struct layout *layout = &layouts[handler_id];
    MPIR_Request *request;
    uint64_t handle;

    if (!layout->has_given)
        return true;
    if (handler_id == MPIDIG_SEND && !(((MPIDIG_hdr_t *) header)->flags &
                                       (MPIDIG_AM_SEND_FLAGS_SYNC | MPIDIG_AM_SEND_FLAGS_RTS))) {
        handle = 0; /* there will be no answer */
    } else {
        memcpy(&request, (char *) header + layout->given, sizeof request);
        handle = give(request, layout->given_family, peer);
        if (handle == 0)
            return false;
    }
    memcpy((char *) header + layout->given, &handle, sizeof handle);
    return true;
}

bool MPIDI_FERRY_handles_in(int handler_id, void *header, size_t length, ferry_peer_t *peer)
{
    const struct layout *layout = &layouts[handler_id];

    if (length < layout->size)
        return false;
    if (layout->flattened != 0) {
        int flattened;
        memcpy(&flattened, (char *) header + layout->flattened, sizeof flattened);
        if (flattened < 0 || (size_t) flattened > length - layout->size)
            return false;
    }
    if (layout->has_back) {
        uint64_t handle;
        memcpy(&handle, (char *) header + layout->back, sizeof handle);
        struct entry *entry = find(handle);
        if (entry == NULL || entry->family != layout->back_family || entry->peer != peer)
            return false;
        memcpy((char *) header + layout->back, &entry->request, sizeof entry->request);
    }
    return true;
}

void MPIDI_FERRY_handles_finalize(void)
{
    MPL_free(table.entries);
    memset(&table, 0, sizeof table);
}
