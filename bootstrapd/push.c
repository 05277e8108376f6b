/* SPDX-License-Identifier: MIT */
#include "bootstrapd/push.h"

#include <stdlib.h>

#include "bootstrapd/greeting.h"
#include "io/clock.h"
#include "io/memory.h"
#include "io/random.h"
#include "proto/pack.h"

#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 1000

/* A server's own sign that bootstrapd lives. */
#define PING_EVERY_MS 1000

/* From one round of `stat` to the next. */
#define ROUND_EVERY_MS 5000

/* A server that answers nothing for so long is down. */
#define ANSWER_WITHIN_MS 3000

enum link_state { LINK_WAITING, LINK_CONNECTING, LINK_GREETING, LINK_SERVING };

struct link {
    struct push *push; /* NULL: let go, and freed when its connection has closed */
    struct loop *loop;
    struct address address;
    enum link_state state;
    struct peer *peer; /* NULL while waiting */
    struct timer
        *timer; /* waiting: until the next try; connecting: until it is too late; serving: ping */
    uint32_t backoff_ms;
    bool is_judged;  /* the cluster knows why the connection ends */
    bool is_pinging; /* a ping is not answered yet */
    bool is_pushing;
    bool is_counting;   /* `stat` is not answered yet */
    bool is_outdated;   /* that was sent before push_count: it is asked again */
    bool is_of_round;   /* that, or a later one, is of a round: load is measured between these */
    bool is_waited_for; /* by who called push_count */
    bool is_asking;     /* `move.status` is not answered yet */
    uint64_t sent_revision;
    uint64_t taken_revision;  /* acknowledged on this connection */
    uint64_t term;            /* that its hello told */
    uint8_t expected[ID_LEN]; /* the server that its hello named; zero: none */
    uint8_t server[ID_LEN];   /* that answered hello; zero: none yet on this connection */
};

struct push {
    struct loop *loop;
    struct cluster *cluster;
    struct conduct *conduct;
    const struct push_handler *handler;
    void *context;
    struct link **links; /* by address, as the cluster's sites */
    uint32_t link_count;
    struct timer *round_timer;
    uint32_t waited_for_count;
    struct buffer params; /* of map.push: the present map */
    uint64_t revision;    /* of `params` */
    uint64_t site_version;
    bool is_stopping;
    uint32_t closing_count; /* connections that are yet to close before on_stopped */
};

static const uint8_t no_params[] = {0x90};

static const struct peer_handler link_handler;

static void link_push(struct link *link);
static void link_count(struct link *link);

static void link_connect(struct link *link)
{
    link->state = LINK_CONNECTING;
    link->is_judged = false;
    link->is_pinging = false;
    link->is_pushing = false;
    link->is_counting = false;
    link->is_outdated = false;
    link->is_of_round = false;
    link->is_asking = false;
    link->taken_revision = 0;
    memset(link->server, 0, ID_LEN);
    timer_set(link->timer, ANSWER_WITHIN_MS);
    link->peer = peer_connect(link->loop, &link->address, &link_handler, link);
}

/* Between half of the time and all of it, so that many servers are not tried at once. */
static void link_wait(struct link *link)
{
    uint32_t half = link->backoff_ms / 2;
    link->state = LINK_WAITING;
    timer_set(link->timer, half + random_below(half + 1));
    link->backoff_ms =
        link->backoff_ms * 2 < BACKOFF_MAX_MS ? link->backoff_ms * 2 : BACKOFF_MAX_MS;
}

/* The cluster has judged: whatever happens to the connection now is no news. */
static void link_part(struct link *link, const char *reason)
{
    link->is_judged = true;
    peer_close(link->peer, reason);
}

static void heard(struct push *push)
{
    push->handler->on_heard(push->context);
}

static const struct site *site_of(const struct link *link)
{
    return cluster_find_site(link->push->cluster, &link->address);
}

/* --- moves --- */

/* Who told a pace, and of what move. */
struct pace_call {
    struct link *link;
    uint64_t id;
};

/* One that was not taken is told again when the server next says where it is. */
static void on_paced(void *context, const struct rpc_message *message)
{
    struct pace_call *call = context;
    const struct link *link = call->link;
    if (link->push && (!message || message->code != STATUS_OK)) {
        conduct_untell(link->push->conduct, link->server, call->id);
    }
    free(call);
}

static void link_pace(struct link *link)
{
    const struct push *push = link->push;
    struct move_pace pace;
    while (conduct_take_pace(push->conduct, push->cluster, link->server, &pace)) {
        struct buffer params = {0};
        struct pace_call *call = memory_get(1, sizeof(*call));
        *call = (struct pace_call){link, pace.id};
        move_pace_pack(&pace, &params);
        memory_must(!params.failed);
        peer_call(link->peer, "move.pace", buffer_bytes(&params), ANSWER_WITHIN_MS, on_paced, call);
        buffer_fini(&params);
    }
}

/* False: they are malformed. */
static bool link_take_reports(struct link *link, struct unpack *in)
{
    const struct push *push = link->push;
    struct move_reports reports;
    const struct site *site = site_of(link);
    if (!move_reports_unpack(in, &reports)) {
        return false;
    }
    if (site->is_accepted && !id_bytes_is_zero(link->server)) {
        conduct_on_reports(push->conduct, link->server, &reports);
        link_pace(link);
    }
    move_reports_fini(&reports);
    return true;
}

static void on_asked(void *context, const struct rpc_message *message)
{
    struct link *link = context;
    link->is_asking = false;
    if (!link->push || !message || message->code != STATUS_OK || !peer_is_open(link->peer)) {
        return;
    }
    struct unpack in = unpack_of(message->result);
    if (link_take_reports(link, &in)) {
        heard(link->push);
    } else {
        peer_close(link->peer, "malformed answer to move.status");
    }
}

static void link_ask_moves(struct link *link)
{
    const struct push *push = link->push;
    if (link->state == LINK_SERVING && !link->is_asking &&
        conduct_has_part(push->cluster, link->server)) {
        link->is_asking = true;
        peer_call(link->peer, "move.status", bytes_of(no_params, sizeof(no_params)),
                  ANSWER_WITHIN_MS, on_asked, link);
    }
}

/* --- stat --- */

/* Returns whether it was the last one. */
static bool end_wait(struct link *link)
{
    bool was_waited_for = link->push && link->is_waited_for;
    link->is_waited_for = false;
    return was_waited_for && --link->push->waited_for_count == 0;
}

static void end_count(struct link *link)
{
    if (end_wait(link)) {
        link->push->handler->on_counted(link->push->context);
    }
}

/* Only numbers of a round make a load: those of all servers are then of the same time. */
static void take_numbers(struct link *link, struct bytes numbers)
{
    struct push *push = link->push;
    uint64_t round_ms = link->is_of_round ? clock_mono_ms() : 0;
    link->is_of_round = false;
    if (cluster_on_stat(push->cluster, &link->address, round_ms, numbers)) {
        heard(push);
    } else {
        peer_close(link->peer, "malformed answer to stat");
    }
}

static void on_counted(void *context, const struct rpc_message *message)
{
    struct link *link = context;
    bool is_outdated = link->is_outdated;
    link->is_counting = false;
    link->is_outdated = false;
    if (link->push && message && message->code == STATUS_OK && peer_is_open(link->peer)) {
        take_numbers(link, message->result);
        if (is_outdated && peer_is_open(link->peer)) {
            link_count(link);
            return;
        }
    }
    end_count(link);
}

static void link_count(struct link *link)
{
    if (!link->is_counting) {
        link->is_counting = true;
        peer_call(link->peer, "stat", bytes_of(no_params, sizeof(no_params)), ANSWER_WITHIN_MS,
                  on_counted, link);
    }
}

/* A server that has taken a split, which may be a while after it was told, tells that it has news. */
static void link_count_wanted(struct link *link)
{
    if (conduct_wants_count(link->push->cluster, link->server)) {
        link_count(link);
    }
}

static void on_round(void *context)
{
    struct push *push = context;
    timer_set(push->round_timer, ROUND_EVERY_MS);
    for (uint32_t i = 0; i < push->link_count; i++) {
        if (push->links[i]->state == LINK_SERVING) {
            push->links[i]->is_of_round = true;
            link_count(push->links[i]);
        }
    }
}

/* --- map.push --- */

typedef void take_entry(struct cluster *cluster, const struct address *address, struct bytes name,
                        uint64_t epoch);

/* An array of `[name, epoch]`. */
static void decode_entries(const struct link *link, struct unpack *in, take_entry *take)
{
    uint32_t count = unpack_array(in);
    for (uint32_t i = 0; i < count && unpack_is_fine(in); i++) {
        uint32_t item_count = unpack_array(in);
        struct bytes name = unpack_text(in);
        uint64_t epoch = unpack_uint(in);
        for (uint32_t j = 2; j < item_count; j++) {
            unpack_skip(in);
        }
        if (unpack_is_fine(in)) {
            take(link->push->cluster, &link->address, name, epoch);
        }
    }
}

/* `[revision, opened, missing, reports]`; from earlier versions only as long as it must be. */
static bool decode_taken(struct link *link, struct bytes answer, bool has_missing)
{
    struct unpack in = unpack_of(answer);
    uint32_t field_count = unpack_array(&in);
    uint64_t revision = unpack_uint(&in);
    decode_entries(link, &in, cluster_on_opened);
    if (field_count > 2) {
        decode_entries(link, &in, cluster_on_missing);
    }
    if (field_count > 3 && !link_take_reports(link, &in)) {
        return false;
    }
    if (field_count < 2U + has_missing || !unpack_is_fine(&in)) {
        return false;
    }
    link->taken_revision = revision < link->sent_revision ? revision : link->sent_revision;
    return true;
}

static void on_pushed(void *context, const struct rpc_message *message)
{
    struct link *link = context;
    struct push *push = link->push;
    link->is_pushing = false;
    if (!push || !peer_is_open(link->peer)) {
        return;
    }
    if (!message) {
        peer_close(link->peer, "no answer to map.push");
        return;
    }
    bool is_missing = message->code == STATUS_DATA_MISSING;
    bool is_taken = message->code == STATUS_OK || is_missing;
    if (is_taken &&
        !decode_taken(link, is_missing ? message->detail : message->result, is_missing)) {
        peer_close(link->peer, "malformed answer to map.push");
        return;
    }
    cluster_on_pushed(push->cluster, &link->address, message->code, message->text);
    heard(push);
    /* The map may have changed since it was sent. */
    if (is_taken && link->sent_revision < push->revision) {
        link_push(link);
    }
    if (is_taken) {
        link_count_wanted(link);
    }
}

/* A server is told the map once it is durably bound, and not while it is refused. */
static void link_push(struct link *link)
{
    const struct push *push = link->push;
    const struct site *site = site_of(link);
    if (link->is_pushing || !cluster_may_push(push->cluster, site)) {
        return;
    }
    link->is_pushing = true;
    link->sent_revision = push->revision;
    peer_call(link->peer, "map.push", buffer_bytes(&push->params), ANSWER_WITHIN_MS, on_pushed,
              link);
}

/* --- ping --- */

static void on_pong(void *context, const struct rpc_message *message)
{
    struct link *link = context;
    link->is_pinging = false;
    if (link->push && !message && peer_is_open(link->peer)) {
        peer_close(link->peer, "does not answer");
    }
}

/* What a server did not take, or has not opened yet, is pushed again each time. */
static void link_tick(struct link *link)
{
    const struct push *push = link->push;
    if (!link->is_pinging) {
        link->is_pinging = true;
        peer_call(link->peer, "ping", bytes_of(no_params, sizeof(no_params)), ANSWER_WITHIN_MS,
                  on_pong, link);
    }
    if (link->taken_revision < push->revision ||
        cluster_awaits_open(push->cluster, site_of(link))) {
        link_push(link);
    }
    timer_set(link->timer, PING_EVERY_MS);
}

static void on_timer(void *context)
{
    struct link *link = context;
    switch (link->state) {
    case LINK_WAITING:
        link_connect(link);
        break;
    case LINK_CONNECTING:
    case LINK_GREETING:
        peer_close(link->peer, "does not answer");
        break;
    case LINK_SERVING:
        link_tick(link);
        break;
    }
}

/* --- hello --- */

static void greeted(struct link *link, const struct site_hello *hello)
{
    struct push *push = link->push;
    cluster_on_hello(push->cluster, &link->address, hello);
    memcpy(link->server, hello->server, ID_LEN);
    const struct site *site = site_of(link);
    if (site->state == SITE_UP || cluster_may_push(push->cluster, site)) {
        link->state = LINK_SERVING;
        link->backoff_ms = BACKOFF_MIN_MS;
        link_tick(link);
        link_count(link);
    } else {
        link_part(link, "refused");
    }
    heard(push);
}

/* A hello that left before the term was raised tells nothing. */
static void take_refusal(const struct link *link, const struct rpc_message *message)
{
    uint64_t term;
    if (message->code == STATUS_DENIED && greeting_unpack_refusal(message->detail, &term) &&
        link->term == cluster_ledger(link->push->cluster)->term) {
        cluster_on_outranked(link->push->cluster, &link->address, term);
    }
}

static void on_greeted(void *context, const struct rpc_message *message)
{
    struct link *link = context;
    struct push *push = link->push;
    struct site_hello hello;
    if (!push || !peer_is_open(link->peer)) {
        return;
    }
    if (!message) {
        peer_close(link->peer, "does not answer");
    } else if (message->code != STATUS_OK) {
        cluster_on_refused(push->cluster, &link->address, message->code, message->text);
        take_refusal(link, message);
        link_part(link, "refused");
        heard(push);
    } else if (!greeting_unpack(message->result, &hello)) {
        cluster_on_refused(push->cluster, &link->address, STATUS_INVALID,
                           bytes_text("what answers here is no shard server"));
        link_part(link, "no shard server");
        heard(push);
    } else {
        hello.heard_ms = clock_wall_ms();
        greeted(link, &hello);
    }
}

/* --- the connection --- */

static void link_on_open(void *context, struct peer *peer)
{
    struct link *link = context;
    if (!link->push) {
        return;
    }
    struct buffer params = {0};
    link->state = LINK_GREETING;
    link->term = cluster_ledger(link->push->cluster)->term;
    cluster_expected_server(link->push->cluster, site_of(link), link->expected);
    greeting_pack(link->push->cluster, site_of(link), &params);
    memory_must(!params.failed);
    peer_call(peer, "hello", buffer_bytes(&params), ANSWER_WITHIN_MS, on_greeted, link);
    buffer_fini(&params);
}

static void link_on_request(void *context, struct peer *peer, const struct rpc_message *message)
{
    struct link *link = context;
    if (!link->push) {
        return;
    }
    if (message->type == RPC_NOTIFICATION &&
        bytes_equal(message->method, bytes_text("move.changed"))) {
        struct unpack in = unpack_of(message->params);
        if (link_take_reports(link, &in)) {
            heard(link->push);
            link_count_wanted(link);
        } else {
            peer_close(peer, "malformed move.changed");
        }
        return;
    }
    link->push->handler->on_request(link->push->context, peer, message);
}

static void link_on_close(void *context, struct peer *peer, const char *reason)
{
    struct link *link = context;
    struct push *push = link->push;
    (void)peer;
    link->peer = NULL;
    if (!push) {
        free(link);
        return;
    }
    conduct_on_gone(push->conduct, link->server);
    end_count(link);
    if (push->is_stopping) {
        if (--push->closing_count == 0) {
            push->handler->on_stopped(push->context);
        }
        return;
    }
    link_wait(link);
    if (!link->is_judged) {
        cluster_on_down(push->cluster, &link->address, reason);
        heard(push);
    }
}

static const struct peer_handler link_handler = {
    .on_open = link_on_open,
    .on_request = link_on_request,
    .on_close = link_on_close,
};

static struct link *link_new(struct push *push, const struct address *address)
{
    struct link *link = memory_get(1, sizeof(*link));
    link->push = push;
    link->loop = push->loop;
    link->address = *address;
    link->backoff_ms = BACKOFF_MIN_MS;
    link->timer = timer_new(push->loop, on_timer, link);
    return link;
}

/* Its memory stays until the connection has closed. */
static void link_free(struct link *link)
{
    conduct_on_gone(link->push->conduct, link->server);
    (void)end_wait(link); /* who waits does so for a second at most */
    link->push = NULL;
    timer_free(link->timer);
    link->timer = NULL;
    if (link->peer) {
        peer_close(link->peer, "no longer in the map");
    } else {
        free(link);
    }
}

/* --- all of them --- */

struct push *push_new(struct loop *loop, struct cluster *cluster, struct conduct *conduct,
                      const struct push_handler *handler, void *context)
{
    struct push *push = memory_get(1, sizeof(*push));
    push->loop = loop;
    push->cluster = cluster;
    push->conduct = conduct;
    push->handler = handler;
    push->context = context;
    push->round_timer = timer_new(loop, on_round, push);
    timer_set(push->round_timer, PING_EVERY_MS);
    return push;
}

/* One link for each site: both are in the order of addresses. */
static void match_sites(struct push *push)
{
    uint32_t count = cluster_site_count(push->cluster);
    struct link **links = memory_get(count, sizeof(void *));
    uint32_t old = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct address *address = &cluster_site(push->cluster, i)->address;
        while (old < push->link_count && address_compare(&push->links[old]->address, address) < 0) {
            link_free(push->links[old++]);
        }
        if (old < push->link_count && address_equal(&push->links[old]->address, address)) {
            links[i] = push->links[old++];
        } else {
            links[i] = link_new(push, address);
            link_connect(links[i]);
        }
    }
    while (old < push->link_count) {
        link_free(push->links[old++]);
    }
    free(push->links);
    push->links = links;
    push->link_count = count;
}

/* It was told of a term, or that another server is expected there, and that is no longer so. */
static bool is_greeting_outdated(const struct link *link, const struct site *site)
{
    uint8_t expected[ID_LEN];
    cluster_expected_server(link->push->cluster, site, expected);
    if (link->term != cluster_ledger(link->push->cluster)->term) {
        return true;
    }
    return !id_bytes_is_zero(link->expected) && memcmp(link->expected, expected, ID_LEN) != 0;
}

static void link_follow(struct link *link)
{
    const struct site *site = site_of(link);
    if (link->state == LINK_SERVING && is_greeting_outdated(link, site)) {
        link_part(link, "to be greeted anew");
    } else if (link->state == LINK_WAITING && link->is_judged) {
        timer_set(link->timer, 0); /* what it was refused for may be no more */
    } else if (link->state == LINK_SERVING && link->taken_revision < link->push->revision) {
        if (site->state != SITE_UP && !cluster_may_push(link->push->cluster, site)) {
            link_part(link, "refused");
        } else {
            link_push(link);
        }
    }
    if (link->state == LINK_SERVING) {
        link_pace(link);
    }
}

void push_follow(struct push *push)
{
    if (push->is_stopping) {
        return;
    }
    const struct map *map = &cluster_ledger(push->cluster)->map;
    if (push->revision != map->revision) {
        buffer_clear(&push->params);
        pack_array(&push->params, 1);
        map_pack(map, &push->params);
        memory_must(!push->params.failed);
        push->revision = map->revision;
    }
    if (push->site_version != cluster_site_version(push->cluster)) {
        push->site_version = cluster_site_version(push->cluster);
        match_sites(push);
    }
    for (uint32_t i = 0; i < push->link_count; i++) {
        link_follow(push->links[i]);
    }
}

void push_count(struct push *push)
{
    for (uint32_t i = 0; i < push->link_count; i++) {
        struct link *link = push->links[i];
        if (link->state == LINK_SERVING && peer_is_open(link->peer)) {
            push->waited_for_count += !link->is_waited_for;
            link->is_waited_for = true;
            link->is_outdated = link->is_counting;
            link_count(link);
        }
    }
    if (push->waited_for_count == 0) {
        push->handler->on_counted(push->context);
    }
}

void push_ask_moves(struct push *push)
{
    for (uint32_t i = 0; i < push->link_count && !push->is_stopping; i++) {
        link_ask_moves(push->links[i]);
    }
}

void push_stop(struct push *push)
{
    push->is_stopping = true;
    timer_clear(push->round_timer);
    for (uint32_t i = 0; i < push->link_count; i++) {
        struct link *link = push->links[i];
        timer_clear(link->timer);
        if (link->peer) {
            push->closing_count++;
            peer_close(link->peer, "stopping");
        }
    }
    if (push->closing_count == 0) {
        push->handler->on_stopped(push->context);
    }
}

void push_free(struct push *push)
{
    if (!push) {
        return;
    }
    for (uint32_t i = 0; i < push->link_count; i++) {
        link_free(push->links[i]);
    }
    timer_free(push->round_timer);
    free(push->links);
    buffer_fini(&push->params);
    free(push);
}
