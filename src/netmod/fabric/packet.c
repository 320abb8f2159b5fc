/*
 * Packets: what is sent in which buffer, and the checks of what comes in.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fabric.h"

/* Bytes, in whole pages, in buffers that one endpoint may have under way; and of all together before each must do with a few: one peer
 * that does not read must not stop what is sent to others. */
#define LONGEST (sizeof(struct ferry_head) + FERRY_FABRIC_PACKET)
#define PAGES(length) ((uint32_t) (((length) + 4095) & ~(size_t) 4095))
#define LARGE_MAX (8 * PAGES(LONGEST))
#define LARGE_FEW (2 * PAGES(LONGEST))
#define LARGE_ALL (64 * PAGES(LONGEST))

/* Receives that are posted at first. Where a message has come and none is posted, the tcp providers stop to listen to
 * the socket and, with the next that is, begin again: two epoll_ctl for each message of a burst. So a peer that sends
 * packets in a row gets more, as far as what they bring stays in the caches. */
#define RECEIVES_FEW 8u
#define RECEIVES_BYTES ((size_t) 512 << 10)

/* What the transport's own packets say. */
enum { GOODBYE = 1, HOLD, GO_ON };

/* ---- Sending ---- */

void ferry_fabric_fill(uint8_t *bytes, const struct ferry_head *head, uint32_t seq,
                       const struct ferry_payload *payload)
{
    struct ferry_head numbered = *head;

    numbered.seq = seq;
    memcpy(bytes, &numbered, sizeof(numbered));
    ferry_core_fill(bytes + sizeof(numbered), payload);
}

struct ferry_fabric_buffer *ferry_fabric_new_buffer(struct ferry_fabric_endpoint *endpoint)
{
    struct ferry_fabric *fabric = ferry_fabric_of_endpoint(endpoint);
    struct ferry_fabric_buffer *buffer = malloc(sizeof(*buffer) + LONGEST);

    if (!buffer)
        return NULL;
    buffer->endpoint = endpoint;
    buffer->next_of_all = fabric->all_buffers;
    fabric->all_buffers = buffer;
    return buffer;
}

void ferry_fabric_free_buffers(struct ferry_fabric *fabric)
{
    while (fabric->all_buffers) {
        struct ferry_fabric_buffer *next = fabric->all_buffers->next_of_all;

        free(fabric->all_buffers);
        fabric->all_buffers = next;
    }
}

static struct ferry_fabric_buffer *take_buffer(struct ferry_fabric_endpoint *endpoint,
                                               uint32_t length)
{
    struct ferry_fabric *fabric = ferry_fabric_of_endpoint(endpoint);
    struct ferry_fabric_buffer *buffer = fabric->free_buffers;

    if (endpoint->large + PAGES(length) > (fabric->large < LARGE_ALL ? LARGE_MAX : LARGE_FEW))
        return NULL;
    if (buffer)
        fabric->free_buffers = buffer->next;
    else
        buffer = ferry_fabric_new_buffer(endpoint);
    if (!buffer)
        return NULL;
    buffer->endpoint = endpoint;
    buffer->use = FERRY_BUFFER_SEND;
    buffer->length = length;
    fabric->large += PAGES(length);
    endpoint->large += PAGES(length);
    return buffer;
}

static void give_buffer(struct ferry_fabric *fabric, struct ferry_fabric_buffer *buffer)
{
    buffer->endpoint->large -= PAGES(buffer->length);
    fabric->large -= PAGES(buffer->length);
    buffer->next = fabric->free_buffers;
    fabric->free_buffers = buffer;
}

void ferry_fabric_sent(struct ferry_fabric_buffer *buffer)
{
    struct ferry_fabric_endpoint *endpoint = buffer->endpoint;
    struct ferry_fabric *fabric = ferry_fabric_of_endpoint(endpoint);

    if (endpoint->ep) /* else all were taken off the count at once */
        endpoint->sends--;
    if (buffer->use == FERRY_BUFFER_SEND)
        give_buffer(fabric, buffer);
}

/* What libfabric answered: taken, later, or the connection is broken. Its end is told in progress. */
static int judge(struct ferry_fabric_endpoint *endpoint, ssize_t result)
{
    if (result == 0) {
        endpoint->sends++;
        ferry_core_has_called(endpoint->base.transport->context);
        return 0;
    }
    if (result != -FI_EAGAIN)
        ferry_fabric_end(endpoint, "its connection is broken");
    return -EAGAIN;
}

/* libfabric copies it; that it was sent is told none the less. */
static int send_small(struct ferry_fabric_endpoint *endpoint, const void *bytes, size_t length)
{
    struct iovec part = {.iov_base = (void *) bytes, .iov_len = length};
    struct fi_msg message = {.msg_iov = &part, .iov_count = 1, .context = &endpoint->small};
    int error = judge(endpoint, fi_sendmsg(endpoint->ep, &message, FI_INJECT | FI_COMPLETION));

    if (!error)
        endpoint->sent_seq++;
    return error;
}

static int post(struct ferry_fabric_endpoint *endpoint, struct ferry_fabric_buffer *buffer)
{
    return judge(endpoint, fi_send(endpoint->ep, buffer->bytes, buffer->length, NULL, 0, buffer));
}

static inline bool may_send(const struct ferry_fabric_endpoint *endpoint)
{
    return endpoint->state == FERRY_FABRIC_UP && !endpoint->stalled &&
           endpoint->sends < FERRY_FABRIC_SENDS;
}

static int refuse(const struct ferry_fabric_endpoint *endpoint)
{
    return endpoint->state == FERRY_FABRIC_ENDED ? -ECONNRESET : -EAGAIN;
}

/* What is sent is likely to be answered. */
static void expect_answer(struct ferry_fabric *fabric)
{
    fabric->rest = fabric->quiet = 0;
}

int ferry_fabric_send(struct ferry_endpoint *base, const struct ferry_head *head,
                      const struct ferry_payload *payload)
{
    struct ferry_fabric_endpoint *endpoint = (struct ferry_fabric_endpoint *) base;
    struct ferry_fabric *fabric = ferry_fabric_of_endpoint(endpoint);
    size_t length = sizeof(*head) + head->length;
    struct ferry_fabric_buffer *buffer;
    uint8_t bytes[FERRY_FABRIC_INJECT];

    if (!may_send(endpoint))
        return refuse(endpoint);
    expect_answer(fabric);
    if (endpoint == fabric->self)
        return ferry_self_send(endpoint, head, payload);
    /* A stream is packed once only, so it needs a place where it can wait. */
    if (length <= fabric->library.inject_max && !payload->stream) {
        ferry_fabric_fill(bytes, head, endpoint->sent_seq + 1, payload);
        return send_small(endpoint, bytes, length);
    }
    buffer = take_buffer(endpoint, (uint32_t) length);
    if (!buffer)
        return -EAGAIN;
    ferry_fabric_fill(buffer->bytes, head, ++endpoint->sent_seq, payload);
    if (post(endpoint, buffer)) {
        endpoint->stalled = buffer;
        fabric->stalled++;
    }
    return 0;
}

int ferry_fabric_send_eager(struct ferry_endpoint *base, uint64_t match, const void *data,
                            uint32_t length)
{
    struct ferry_head head = {.type = FERRY_PKT_EAGER, .length = (uint16_t) length, .word = match};
    struct ferry_payload payload = {.data = data, .length = length};

    return ferry_fabric_send(base, &head, &payload);
}

void ferry_fabric_push_stalled(struct ferry_fabric *fabric)
{
    for (struct ferry_link *link = fabric->endpoints.next; link != &fabric->endpoints;
         link = link->next) {
        struct ferry_fabric_endpoint *endpoint = ferry_container(link, struct ferry_fabric_endpoint,
                                                                 link);

        if (endpoint->stalled && endpoint->state == FERRY_FABRIC_UP &&
            !post(endpoint, endpoint->stalled)) {
            endpoint->stalled = NULL;
            fabric->stalled--;
        }
    }
}

void ferry_fabric_hold(struct ferry_endpoint *base, bool on)
{
    /* Without memory for it more is sent than is liked. */
    ferry_core_answer(base, on ? HOLD : GO_ON, NULL, 0);
}

void ferry_fabric_say_goodbye(struct ferry_fabric_endpoint *endpoint)
{
    struct ferry_head head = {.type = FERRY_PKT_TRANSPORT, .word = GOODBYE};
    struct ferry_payload nothing = {0};

    ferry_fabric_send(&endpoint->base, &head, &nothing);
}

/* ---- Receiving ---- */

static int post_receive(struct ferry_fabric_endpoint *endpoint, struct ferry_fabric_buffer *buffer)
{
    ssize_t result = fi_recv(endpoint->ep, buffer->bytes, LONGEST, NULL, 0, buffer);

    if (result == 0)
        endpoint->receives++;
    return (int) result;
}

static int post_another(struct ferry_fabric_endpoint *endpoint)
{
    struct ferry_fabric_buffer *buffer = endpoint->spare;
    int error;

    if (buffer) {
        endpoint->spare = buffer->next;
    } else {
        buffer = ferry_fabric_new_buffer(endpoint);
        if (!buffer)
            return -FI_ENOMEM;
        buffer->use = FERRY_BUFFER_RECEIVE;
        endpoint->received[endpoint->received_count++] = buffer;
    }
    error = post_receive(endpoint, buffer);
    if (error) {
        buffer->next = endpoint->spare;
        endpoint->spare = buffer;
    }
    return error;
}

int ferry_fabric_post_receives(struct ferry_fabric_endpoint *endpoint)
{
    int error = 0;

    while (!error && endpoint->receives < RECEIVES_FEW)
        error = post_another(endpoint);
    return error;
}

static unsigned between(size_t least, size_t value, size_t most)
{
    return (unsigned) (value < least ? least : value > most ? most : value);
}

/* How many receives shall be posted after a packet of this length: twice as many as came in a row, and no fewer than
 * before. */
static unsigned receives_wanted(struct ferry_fabric_endpoint *endpoint, size_t length)
{
    unsigned blanks = ferry_fabric_of_endpoint(endpoint)->blanks;
    unsigned most = between(RECEIVES_FEW, RECEIVES_BYTES / length, FERRY_FABRIC_RECEIVES);
    unsigned before = endpoint->receives + 1u;

    if (endpoint->row_of != blanks)
        endpoint->row = 0;
    endpoint->row_of = blanks;
    return between(before < most ? before : most, 2u * ++endpoint->row, most);
}

static int post_again(struct ferry_fabric_endpoint *endpoint, struct ferry_fabric_buffer *buffer,
                      size_t length)
{
    unsigned wanted = receives_wanted(endpoint, length);
    int error = 0;

    buffer->next = endpoint->spare;
    endpoint->spare = buffer;
    while (!error && endpoint->receives < wanted)
        error = post_another(endpoint);
    /* Fewer than are wanted will do. */
    return endpoint->receives ? 0 : error;
}

static int receive_own(struct ferry_fabric_endpoint *endpoint, const struct ferry_head *head)
{
    if (head->length)
        return -EPROTO;
    if (head->word == GOODBYE) {
        if (endpoint->base.upper && endpoint->base.upper->ops->left)
            endpoint->base.upper->ops->left(endpoint->base.upper);
        if (endpoint->reads)
            ferry_fabric_lose(endpoint, -ECONNRESET, "it left with messages unread");
        else
            ferry_fabric_leave(endpoint);
    } else if (head->word == HOLD || head->word == GO_ON) {
        endpoint->base.held = head->word == HOLD;
    } else {
        return -EPROTO;
    }
    return 0;
}

int ferry_fabric_deliver(struct ferry_fabric_endpoint *endpoint, const uint8_t *bytes,
                         size_t length)
{
    struct ferry_head head;

    if (length < sizeof(head))
        return -EPROTO;
    memcpy(&head, bytes, sizeof(head));
    if (head.length != length - sizeof(head) || head.seq != ++endpoint->got_seq)
        return -EPROTO;
    if (head.type == FERRY_PKT_TRANSPORT)
        return receive_own(endpoint, &head);
    return ferry_core_receive_carried(&endpoint->base, &head, bytes + sizeof(head));
}

void ferry_fabric_received(struct ferry_fabric_buffer *buffer, size_t length)
{
    struct ferry_fabric_endpoint *endpoint = buffer->endpoint;
    int error;

    endpoint->receives--;
    /* That the connection was made, and with whom, is told before. */
    while (endpoint->state == FERRY_FABRIC_OPENING &&
           ferry_fabric_read_events(ferry_fabric_of_endpoint(endpoint)))
        ;
    if (endpoint->state != FERRY_FABRIC_UP && endpoint->state != FERRY_FABRIC_ENDING)
        return;
    error = ferry_fabric_deliver(endpoint, buffer->bytes, length);
    if (error)
        ferry_fabric_lose(endpoint, error, "it sent nonsense over the network");
    else if (endpoint->state == FERRY_FABRIC_UP && post_again(endpoint, buffer, length))
        ferry_fabric_end(endpoint, "its connection is broken");
}
