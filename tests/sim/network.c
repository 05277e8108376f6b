/* SPDX-License-Identifier: MIT */
#include "tests/sim/network.h"

#include "tests/sim/heap.h"

#include <assert.h>

/* Bytes of one direction that are under way or unread, before a writer has to wait. */
#define WINDOW_LEN (128u << 10)

/* TCP's retransmission of what a cut held up. */
#define RETRANSMIT_US    UINT64_C(200000)
#define CONNECT_AGAIN_US SECOND_US

/* Where the numbers of the connecting sides begin. */
#define PORT_DYNAMIC_MIN 32768

/* A slow link: a modem's. */
#define SLOW_BYTES_PER_MS 20

/* When a silent connection is found out, by a retransmission or a keep-alive. */
#define SILENCE_MAX_US (15 * SECOND_US)

enum segment_kind { SEGMENT_OPEN, SEGMENT_DATA, SEGMENT_FIN, SEGMENT_RESET };

struct segment {
    struct segment *next;
    uint64_t at_us;
    enum segment_kind kind;
    const char *error; /* SEGMENT_RESET */
    size_t len;
    uint8_t data[];
};

struct endpoint {
    struct endpoint *next; /* of the node's */
    struct node *node;
    struct endpoint *other; /* NULL: not there yet, or closed */
    struct node *other_node;
    struct address remote;
    enum endpoint_state state;
    const char *error;
    bool is_silent;    /* nothing that is sent to it arrives, until it is told */
    bool is_shut;      /* the other side has sent the end */
    bool is_shut_down; /* so has this one */
    world_callback *on_change;
    void *context;

    struct segment *first; /* on its way to here, by time */
    struct segment *last;
    size_t under_way_len;
    struct event arrival;
    struct event connect; /* the handshake, from here */
    struct event end;     /* of a silent one, or one whose other side is gone */

    uint8_t *arrived; /* from arrived_start on */
    size_t arrived_start, arrived_len, arrived_capacity;
};

struct door {
    struct door *next;
    struct node *node;
    struct address address;
    door_callback *on_knock;
    void *context;
};

static struct {
    struct door *doors;
    bool is_cut[NODE_MAX][NODE_MAX];
    bool is_slow[NODE_MAX][NODE_MAX];
    uint16_t next_port;
} network;

/* --- links --- */

static uint64_t draw_delay_us(const struct node *from, const struct node *to, size_t len)
{
    uint32_t latency_us = world_swarm()->latency_us;
    uint64_t delay_us = latency_us / 2 + world_around(latency_us);
    if (network.is_slow[from->index][to->index]) {
        delay_us += len * 1000 / SLOW_BYTES_PER_MS;
    }
    return delay_us;
}

bool network_is_cut(const struct node *from, const struct node *to)
{
    return network.is_cut[from->index][to->index];
}

void network_cut(const struct node *from, const struct node *to, bool is_cut)
{
    network.is_cut[from->index][to->index] = is_cut;
}

void network_slow(const struct node *from, const struct node *to)
{
    network.is_slow[from->index][to->index] = true;
}

void network_unslow(void)
{
    memset(network.is_slow, 0, sizeof network.is_slow);
}

/* --- an endpoint's inside --- */

static void changed(struct endpoint *endpoint)
{
    if (endpoint->on_change) {
        struct node *before = world_enter(endpoint->node);
        endpoint->on_change(endpoint->context);
        world_enter(before);
    }
}

static void drop_segments(struct endpoint *endpoint)
{
    while (endpoint->first) {
        struct segment *segment = endpoint->first;
        endpoint->first = segment->next;
        world_put(segment);
    }
    endpoint->last = NULL;
    endpoint->under_way_len = 0;
    event_clear(&endpoint->arrival);
}

static void end(struct endpoint *endpoint, const char *error)
{
    drop_segments(endpoint);
    event_clear(&endpoint->connect);
    event_clear(&endpoint->end);
    endpoint->state = ENDPOINT_ENDED;
    endpoint->error = error;
    changed(endpoint);
}

static void set_arrival(struct endpoint *endpoint)
{
    uint64_t now_us = world_now_us();
    uint64_t at_us = endpoint->first->at_us;
    event_set(&endpoint->arrival, at_us > now_us ? at_us - now_us : 0);
}

static void push(struct endpoint *to, enum segment_kind kind, const void *data, size_t len)
{
    struct segment *segment = world_get(1, sizeof *segment + len);
    segment->kind = kind;
    segment->len = len;
    if (len) {
        memcpy(segment->data, data, len);
    }
    segment->at_us = world_now_us() + draw_delay_us(to->other_node, to->node, len);
    if (to->last) {
        /* In order: none overtakes the one before. */
        segment->at_us = segment->at_us > to->last->at_us ? segment->at_us : to->last->at_us;
        to->last->next = segment;
    } else {
        to->first = segment;
    }
    to->last = segment;
    to->under_way_len += len;
    if (to->first == segment) {
        set_arrival(to);
    }
}

static void push_reset(struct endpoint *to, const char *error)
{
    push(to, SEGMENT_RESET, NULL, 0);
    to->last->error = error;
}

static void keep_arrived(struct endpoint *endpoint, const uint8_t *data, size_t len)
{
    if (endpoint->arrived_start == endpoint->arrived_len) {
        endpoint->arrived_start = endpoint->arrived_len = 0;
    }
    if (endpoint->arrived_len + len > endpoint->arrived_capacity) {
        endpoint->arrived_capacity = 2 * (endpoint->arrived_len + len);
        endpoint->arrived = world_resize(endpoint->arrived, endpoint->arrived_capacity);
    }
    memcpy(endpoint->arrived + endpoint->arrived_len, data, len);
    endpoint->arrived_len += len;
}

static void fall_silent(struct endpoint *endpoint, uint64_t longest_us)
{
    endpoint->is_silent = true;
    event_set(&endpoint->end, 1 + world_below(longest_us));
}

/* A fault of the network: whatever was under way to here may be lost, and the same on the way back. */
static bool breaks(struct endpoint *endpoint)
{
    const struct swarm *swarm = world_swarm();
    bool is_silence = world_chance(swarm->silence_ppm);
    if (!is_silence && !world_chance(swarm->loss_ppm)) {
        return false;
    }
    count(is_silence ? COUNT_SILENCE : COUNT_RESET);
    uint64_t longest_us = is_silence ? SILENCE_MAX_US : SECOND_US / 10;
    fall_silent(endpoint, longest_us);
    if (endpoint->other) {
        fall_silent(endpoint->other, longest_us);
    }
    return true;
}

static void on_end(void *context)
{
    end(context, "Connection reset by peer");
}

static struct segment *take_first(struct endpoint *endpoint)
{
    struct segment *segment = endpoint->first;
    endpoint->first = segment->next;
    endpoint->last = endpoint->first ? endpoint->last : NULL;
    endpoint->under_way_len -= segment->len;
    return segment;
}

static void arrive(struct endpoint *endpoint, const struct segment *segment)
{
    switch (segment->kind) {
    case SEGMENT_OPEN:
        endpoint->state = ENDPOINT_OPEN;
        changed(endpoint);
        break;
    case SEGMENT_DATA:
        trace("bytes", segment->len, endpoint->remote.port);
        trace_bytes(segment->data, segment->len);
        keep_arrived(endpoint, segment->data, segment->len);
        changed(endpoint);
        break;
    case SEGMENT_FIN:
        endpoint->is_shut = true;
        end(endpoint, "closed by the other side");
        break;
    case SEGMENT_RESET:
        end(endpoint, segment->error);
        break;
    }
}

static void on_arrival(void *context)
{
    struct endpoint *endpoint = context;
    if (endpoint->is_silent) {
        drop_segments(endpoint);
        return;
    }
    if (network_is_cut(endpoint->other_node, endpoint->node)) {
        event_set(&endpoint->arrival, RETRANSMIT_US + world_below(RETRANSMIT_US));
        return;
    }
    if (endpoint->state == ENDPOINT_OPEN && breaks(endpoint)) {
        return;
    }
    struct segment *segment = take_first(endpoint);
    if (endpoint->first) {
        set_arrival(endpoint);
    }
    arrive(endpoint, segment);
    world_put(segment);
}

/* --- the beginning and the end --- */

static void on_connect(void *context);

static struct endpoint *endpoint_new(struct node *node, struct node *other_node,
                                     const struct address *remote)
{
    struct endpoint *endpoint = world_get(1, sizeof *endpoint);
    endpoint->node = node;
    endpoint->other_node = other_node;
    endpoint->remote = *remote;
    endpoint->next = node->endpoints;
    node->endpoints = endpoint;
    event_init(&endpoint->arrival, node, "arrival", on_arrival, endpoint);
    event_init(&endpoint->connect, node, "connect", on_connect, endpoint);
    event_init(&endpoint->end, node, "connection lost", on_end, endpoint);
    return endpoint;
}

static void endpoint_free(struct endpoint *endpoint)
{
    struct endpoint **link = &endpoint->node->endpoints;
    while (*link != endpoint) {
        link = &(*link)->next;
    }
    *link = endpoint->next;
    if (endpoint->other) {
        endpoint->other->other = NULL;
    }
    drop_segments(endpoint);
    event_clear(&endpoint->connect);
    event_clear(&endpoint->end);
    world_put(endpoint->arrived);
    world_put(endpoint);
}

static struct door *door_at(const struct address *address)
{
    for (struct door *door = network.doors; door; door = door->next) {
        if (address_equal(&door->address, address)) {
            return door;
        }
    }
    return NULL;
}

/* The request to connect has come to the other machine. */
static void on_connect(void *context)
{
    struct endpoint *endpoint = context;
    const struct node *node = endpoint->node;
    struct node *other_node = endpoint->other_node;
    if (!other_node->is_powered || network_is_cut(node, other_node) ||
        network_is_cut(other_node, node)) {
        event_set(&endpoint->connect, CONNECT_AGAIN_US);
        return;
    }
    struct door *door = door_at(&endpoint->remote);
    if (!door) {
        count(COUNT_CONNECT_REFUSED);
        push_reset(endpoint, "Connection refused");
        return;
    }
    struct address from = node->address;
    from.port = network.next_port++;
    if (network.next_port == 0) {
        network.next_port = PORT_DYNAMIC_MIN;
    }
    struct endpoint *accepted = endpoint_new(other_node, endpoint->node, &from);
    accepted->state = ENDPOINT_OPEN;
    accepted->other = endpoint;
    endpoint->other = accepted;
    push(endpoint, SEGMENT_OPEN, NULL, 0);
    struct node *before = world_enter(other_node);
    door->on_knock(door->context, accepted);
    world_enter(before);
}

struct endpoint *network_connect(struct node *node, const struct address *to)
{
    struct node *other_node = world_node_at(to);
    struct endpoint *endpoint = endpoint_new(node, other_node ? other_node : node, to);
    if (other_node) {
        event_set(&endpoint->connect, draw_delay_us(node, other_node, 0));
    } else {
        push_reset(endpoint, "No route to host");
    }
    return endpoint;
}

void endpoint_shutdown(struct endpoint *endpoint)
{
    struct endpoint *other = endpoint->other;
    bool is_usable = endpoint->state != ENDPOINT_ENDED || endpoint->is_shut;
    if (other && other->state != ENDPOINT_ENDED && is_usable && !endpoint->is_shut_down) {
        push(other, SEGMENT_FIN, NULL, 0);
    }
    endpoint->is_shut_down = true;
}

void endpoint_close(struct endpoint *endpoint)
{
    if (!endpoint) {
        return;
    }
    struct endpoint *other = endpoint->other;
    /* A kernel resets a connection that is closed with input unread. */
    if (endpoint_arrived(endpoint) && other && other->state != ENDPOINT_ENDED) {
        push_reset(other, "Connection reset by peer");
    } else {
        endpoint_shutdown(endpoint);
    }
    endpoint_free(endpoint);
}

struct door *network_listen(struct node *node, const struct address *address,
                            door_callback *on_knock, void *context)
{
    if (door_at(address)) {
        return NULL;
    }
    struct door *door = world_get(1, sizeof *door);
    *door = (struct door){network.doors, node, *address, on_knock, context};
    network.doors = door;
    return door;
}

void door_close(struct door *door)
{
    if (!door) {
        return;
    }
    struct door **link = &network.doors;
    while (*link != door) {
        link = &(*link)->next;
    }
    *link = door->next;
    world_put(door);
}

void network_drop_node(struct node *node, bool is_power_lost)
{
    for (struct door *door = network.doors; door;) {
        struct door *next = door->next;
        if (door->node == node) {
            door_close(door);
        }
        door = next;
    }
    while (node->endpoints) {
        struct endpoint *endpoint = node->endpoints;
        struct endpoint *other = endpoint->other;
        if (is_power_lost && other && other->state != ENDPOINT_ENDED) {
            /* What had left the machine still arrives: replies above all. */
            event_set(&other->end, 1 + world_below(SILENCE_MAX_US));
            endpoint_free(endpoint);
        } else {
            endpoint_close(endpoint);
        }
    }
}

/* --- for the owner --- */

void endpoint_set_callback(struct endpoint *endpoint, world_callback *on_change, void *context)
{
    endpoint->on_change = on_change;
    endpoint->context = context;
}

enum endpoint_state endpoint_state(const struct endpoint *endpoint)
{
    return endpoint->state;
}

const char *endpoint_error(const struct endpoint *endpoint)
{
    return endpoint->error;
}

const struct address *endpoint_remote(const struct endpoint *endpoint)
{
    return &endpoint->remote;
}

size_t endpoint_arrived(const struct endpoint *endpoint)
{
    return endpoint->arrived_len - endpoint->arrived_start;
}

size_t endpoint_read(struct endpoint *endpoint, void *data, size_t capacity)
{
    size_t len = endpoint_arrived(endpoint);
    len = len < capacity ? len : capacity;
    if (!len) {
        return 0;
    }
    memcpy(data, endpoint->arrived + endpoint->arrived_start, len);
    endpoint->arrived_start += len;
    if (endpoint->other) {
        changed(endpoint->other); /* there is room */
    }
    return len;
}

static size_t room_of(const struct endpoint *endpoint)
{
    size_t filled = endpoint->under_way_len + endpoint_arrived(endpoint);
    return filled < WINDOW_LEN ? WINDOW_LEN - filled : 0;
}

static bool leads_nowhere(const struct endpoint *endpoint)
{
    const struct endpoint *other = endpoint->other;
    return !other || other->is_silent || other->state == ENDPOINT_ENDED;
}

bool endpoint_has_room(const struct endpoint *endpoint)
{
    return endpoint->state == ENDPOINT_OPEN &&
           (leads_nowhere(endpoint) || room_of(endpoint->other) > 0);
}

size_t endpoint_write(struct endpoint *endpoint, const void *data, size_t len)
{
    struct endpoint *other = endpoint->other;
    if (endpoint->state != ENDPOINT_OPEN) {
        return 0;
    }
    if (leads_nowhere(endpoint)) {
        /* Into the kernel's buffer; that it got nowhere shows later. */
        if (!event_is_set(&endpoint->end)) {
            event_set(&endpoint->end, draw_delay_us(endpoint->node, endpoint->other_node, 0));
        }
        return len;
    }
    size_t room = room_of(other);
    if (len > room) {
        count(COUNT_WINDOW_FULL);
        len = room;
    }
    if (!len) {
        return 0;
    }
    size_t head = len;
    if (len > 1 && world_chance(world_swarm()->split_ppm)) {
        count(COUNT_DELIVERY_SPLIT);
        head = (size_t)world_between(1, len - 1);
    }
    push(other, SEGMENT_DATA, data, head);
    if (head < len) {
        push(other, SEGMENT_DATA, (const uint8_t *)data + head, len - head);
    }
    return len;
}

void network_begin(void)
{
    memset(&network, 0, sizeof network);
    network.next_port = PORT_DYNAMIC_MIN;
}

void network_end(void)
{
    assert(!network.doors);
}
