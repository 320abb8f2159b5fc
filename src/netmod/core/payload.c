/*
 * Payloads: what comes behind a packet's head.
 */
#include <string.h>

#include "transport.h"

void ferry_core_fill(void *to_, const struct ferry_payload *payload)
{
    uint8_t *to = to_;

    if (payload->lead_length)
        memcpy(to, payload->lead, payload->lead_length);
    to += payload->lead_length;
    if (!payload->length)
        return;
    if (payload->stream)
        payload->stream->pack((void *) payload->data, payload->offset, to, payload->length);
    else
        memcpy(to, (const uint8_t *) payload->data + payload->offset, payload->length);
}
