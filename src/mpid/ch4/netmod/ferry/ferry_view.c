/*
 * Data that is not contiguous: packed and unpacked piece by piece, as Ferry asks for it.
 *
 * MPICH's datatype engines move whole elements (an int, a double) only, while Ferry cuts a message
 * where a packet ends. An element that is cut is kept here until the rest of it is moved.
 */
#include "ferry_impl.h"

/* No element is longer. */
#define CARRY_MAX 64

/* Blocks up to this, bytes, on average, are moved so slowly that pieces pay. Of 64 they don't (doc/measurements.md). */
#define FINE_MAX 16

struct MPIDI_FERRY_view {
    void *buffer;
    MPI_Aint count;
    MPI_Datatype datatype;
    MPI_Aint total;    /* bytes when packed */
    MPI_Aint moved;    /* of these, by the engine */
    size_t position;   /* in the stream, where Ferry will go on */
    size_t carry_from; /* what is carry[carry_from, carry_to): packed and not yet asked for, */
    size_t carry_to;   /* or come and not yet unpacked */
    unsigned char carry[CARRY_MAX];
#ifdef MPIDI_FERRY_HAVE_SEGMENT
    MPIR_Segment *segment;
#endif
};

MPIDI_FERRY_view_t *MPIDI_FERRY_view_create(const void *buffer, MPI_Aint count,
                                            MPI_Datatype datatype)
{
    MPIDI_FERRY_view_t *view = MPL_malloc(sizeof *view, MPL_MEM_BUFFER);
    if (view == NULL)
        return NULL;

#ifdef MPIDI_FERRY_HAVE_SEGMENT
    view->segment = MPIR_Segment_alloc(buffer, count, datatype);
    if (view->segment == NULL) {
        MPL_free(view);
        return NULL;
    }
#endif
    MPIR_Datatype_add_ref_if_not_builtin(datatype);
    view->buffer = (void *) buffer;
    view->count = count;
    view->datatype = datatype;
    MPIDI_Datatype_check_size(datatype, count, view->total);
    view->moved = 0;
    view->position = 0;
    view->carry_from = 0;
    view->carry_to = 0;
    return view;
}

void MPIDI_FERRY_view_free(MPIDI_FERRY_view_t *view)
{
    if (view == NULL)
        return;
#ifdef MPIDI_FERRY_HAVE_SEGMENT
    MPIR_Segment_free(view->segment);
#endif
    MPIR_Datatype_release_if_not_builtin(view->datatype);
    MPL_free(view);
}

MPI_Aint MPIDI_FERRY_view_unpacked(MPIDI_FERRY_view_t *view)
{
    return view->moved;
}

/* Packs whole elements, at most room bytes of them; returns how many bytes. */
static size_t pack_elements(MPIDI_FERRY_view_t *view, void *to, size_t room)
{
    MPI_Aint packed = 0;

    if (view->moved == view->total)
        return 0;
#ifdef MPIDI_FERRY_HAVE_SEGMENT
    MPI_Aint last = MPL_MIN(view->moved + (MPI_Aint) room, view->total);
    MPIR_Segment_pack(view->segment, view->moved, &last, to);
    packed = last - view->moved;
#else
    MPIR_Typerep_pack(view->buffer, view->count, view->datatype, view->moved, to, (MPI_Aint) room,
                      &packed);
#endif
    view->moved += packed;
    return (size_t) packed;
}

/* Unpacks the whole elements among length bytes; returns how many bytes. */
static size_t unpack_elements(MPIDI_FERRY_view_t *view, const void *from, size_t length)
{
    MPI_Aint unpacked = 0;

    if (view->moved == view->total)
        return 0;
#ifdef MPIDI_FERRY_HAVE_SEGMENT
    MPI_Aint last = MPL_MIN(view->moved + (MPI_Aint) length, view->total);
    MPIR_Segment_unpack(view->segment, view->moved, &last, from);
    unpacked = last - view->moved;
#else
    MPIR_Typerep_unpack(from, (MPI_Aint) length, view->buffer, view->count, view->datatype,
                        view->moved, &unpacked);
#endif
    view->moved += unpacked;
    return (size_t) unpacked;
}

static void view_pack(void *arg, size_t offset, void *to, size_t length)
{
    MPIDI_FERRY_view_t *view = arg;
    unsigned char *out = to;

    MPIR_Assert(offset == view->position);
    view->position += length;

    while (length > 0) {
        size_t n = view->carry_to - view->carry_from;
        if (n > 0) {
            n = MPL_MIN(n, length);
            memcpy(out, view->carry + view->carry_from, n);
            view->carry_from += n;
        } else {
            n = pack_elements(view, out, length);
            if (n == 0) {
                view->carry_from = 0;
                view->carry_to = pack_elements(view, view->carry, CARRY_MAX);
                if (view->carry_to == 0) {
                    memset(out, 0, length); /* more was asked for than there is */
                    return;
                }
            }
        }
        out += n;
        length -= n;
    }
}

static void view_unpack(void *arg, size_t offset, const void *from, size_t length)
{
    MPIDI_FERRY_view_t *view = arg;
    const unsigned char *in = from;

    MPIR_Assert(offset == view->position);
    view->position += length;

    while (length > 0) {
        size_t n;
        if (view->carry_to > 0) {
            /* An element was cut: its rest comes first. */
            size_t had = view->carry_to;
            size_t more = MPL_MIN(length, CARRY_MAX - had);
            memcpy(view->carry + had, in, more);
            n = unpack_elements(view, view->carry, had + more);
            if (n <= had) {
                if (n > 0 || had + more == CARRY_MAX)
                    return; /* not a message of these elements; noticed when it is complete */
                view->carry_to = had + more;
                n = more;
            } else {
                view->carry_to = 0;
                n -= had;
            }
        } else {
            n = unpack_elements(view, in, length);
            if (n == 0) {
                if (length >= CARRY_MAX)
                    return;
                memcpy(view->carry, in, length);
                view->carry_to = length;
                n = length;
            }
        }
        in += n;
        length -= n;
    }
}

const ferry_stream_t MPIDI_FERRY_view_stream = {
    .pack = view_pack,
    .unpack = view_unpack,
};

static const ferry_stream_t fine_stream = {
    .pack = view_pack,
    .unpack = view_unpack,
    .fine = true,
};

const ferry_stream_t *MPIDI_FERRY_view_stream_to_send(const MPIDI_FERRY_view_t *view)
{
    MPI_Aint density;

    MPIR_Datatype_get_density(view->datatype, density);
    return density <= FINE_MAX ? &fine_stream : &MPIDI_FERRY_view_stream;
}
