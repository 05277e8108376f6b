/* SPDX-License-Identifier: MIT */
#include "bootstrapd/survey.h"

#include <stdlib.h>

#include "bootstrapd/greeting.h"
#include "io/memory.h"
#include "io/peer.h"
#include "proto/pack.h"

/* Addresses: twice what one map has, since servers go and come. */
#define ADDRESSES_MAX (2 * MAP_SERVERS_MAX)

/* One address. */
struct inquiry {
    struct survey *survey; /* NULL: let go, and freed when its connection has closed */
    struct peer *peer;     /* NULL: closed */
    uint32_t index;        /* of its answer */
    bool is_over;
};

struct survey {
    struct loop *loop;
    uint8_t cluster[ID_LEN];
    uint64_t revision; /* the highest of a map whose servers are asked */
    struct recover_answers answers;
    struct inquiry **inquiries; /* parallel to answers */
    uint32_t open_count;
    struct timer *timer; /* until it is too late, or, set to nothing, done */
    loop_callback *on_done;
    void *context;
};

static const struct peer_handler inquiry_handler;

static struct recover_answer *answer_of(const struct inquiry *inquiry)
{
    return &inquiry->survey->answers.items[inquiry->index];
}

static void end_inquiry(struct inquiry *inquiry)
{
    struct survey *survey = inquiry->survey;
    if (!survey || inquiry->is_over) {
        return;
    }
    inquiry->is_over = true;
    if (inquiry->peer) {
        peer_close(inquiry->peer, "asked");
    }
    if (--survey->open_count == 0) {
        timer_set(survey->timer, 0);
    }
}

static bool is_asked(const struct survey *survey, const struct address *address)
{
    for (uint32_t i = 0; i < survey->answers.count; i++) {
        if (address_equal(&survey->answers.items[i].address, address)) {
            return true;
        }
    }
    return false;
}

static void ask(struct survey *survey, const struct address *address)
{
    struct recover_answers *answers = &survey->answers;
    if (answers->count == ADDRESSES_MAX || is_asked(survey, address)) {
        return;
    }
    struct inquiry *inquiry = memory_get(1, sizeof(*inquiry));
    answers->items = memory_resize(answers->items, answers->count + 1, sizeof(*answers->items));
    survey->inquiries = memory_resize(survey->inquiries, answers->count + 1, sizeof(void *));
    answers->items[answers->count] = (struct recover_answer){.address = *address};
    survey->inquiries[answers->count] = inquiry;
    *inquiry = (struct inquiry){.survey = survey, .index = answers->count++};
    survey->open_count++;
    inquiry->peer = peer_connect(survey->loop, address, &inquiry_handler, inquiry);
}

/* Of an older map than one that was gone through nobody needs the list of servers. */
static void ask_all(struct survey *survey, const struct map *map)
{
    if (map->revision <= survey->revision) {
        return;
    }
    survey->revision = map->revision;
    for (uint32_t i = 0; i < map->server_count; i++) {
        ask(survey, &map->servers[i].address);
    }
    for (uint32_t i = 0; i < map->entry_count; i++) {
        if (id_bytes_is_zero(map->entries[i].server)) {
            ask(survey, &map->entries[i].address);
        }
    }
}

static void on_map(void *context, const struct rpc_message *message)
{
    struct inquiry *inquiry = context;
    struct survey *survey = inquiry->survey;
    if (!survey || inquiry->is_over || !peer_is_open(inquiry->peer)) {
        return;
    }
    struct map map = {0};
    struct map_error error;
    bool has_none = message && message->code == STATUS_TRY_LATER;
    bool is_map = false;
    if (message && message->code == STATUS_OK) {
        struct unpack in = unpack_of(message->result);
        is_map = map_unpack(&in, &map, &error);
    }
    answer_of(inquiry)->is_there = is_map || has_none;
    if (is_map) {
        answer_of(inquiry)->map = map;
        ask_all(survey, &map);
    }
    end_inquiry(inquiry);
}

static void on_hello(void *context, const struct rpc_message *message)
{
    static const uint8_t no_params[] = {0x90};
    struct inquiry *inquiry = context;
    if (!inquiry->survey || inquiry->is_over || !peer_is_open(inquiry->peer)) {
        return;
    }
    if (message && message->code == STATUS_OK &&
        greeting_unpack(message->result, &answer_of(inquiry)->hello)) {
        peer_call(inquiry->peer, "map.get", bytes_of(no_params, sizeof(no_params)),
                  SURVEY_WITHIN_MS, on_map, inquiry);
    } else {
        end_inquiry(inquiry);
    }
}

static void inquiry_on_open(void *context, struct peer *peer)
{
    struct inquiry *inquiry = context;
    struct buffer params = {0};
    if (!inquiry->survey) {
        return;
    }
    pack_array(&params, 1);
    pack_map(&params, 1);
    pack_text(&params, "cluster");
    pack_bin(&params, bytes_of(inquiry->survey->cluster, ID_LEN));
    memory_must(!params.failed);
    peer_call(peer, "hello", buffer_bytes(&params), SURVEY_WITHIN_MS, on_hello, inquiry);
    buffer_fini(&params);
}

static void inquiry_on_request(void *context, struct peer *peer, const struct rpc_message *message)
{
    (void)context;
    if (message->type == RPC_REQUEST) {
        peer_refuse(peer, message->msgid, STATUS_DENIED, "on this connection nothing is answered");
    }
}

static void inquiry_on_close(void *context, struct peer *peer, const char *reason)
{
    struct inquiry *inquiry = context;
    (void)peer;
    (void)reason;
    inquiry->peer = NULL;
    if (inquiry->survey) {
        end_inquiry(inquiry);
    } else {
        free(inquiry);
    }
}

static const struct peer_handler inquiry_handler = {
    .on_open = inquiry_on_open,
    .on_request = inquiry_on_request,
    .on_close = inquiry_on_close,
};

/* Who has not answered by now is not there. */
static void on_timer(void *context)
{
    struct survey *survey = context;
    for (uint32_t i = 0; i < survey->answers.count; i++) {
        end_inquiry(survey->inquiries[i]);
    }
    timer_clear(survey->timer);
    survey->on_done(survey->context);
}

struct survey *survey_new(struct loop *loop, const struct map *map, loop_callback *on_done,
                          void *context)
{
    struct survey *survey = memory_get(1, sizeof(*survey));
    survey->loop = loop;
    survey->on_done = on_done;
    survey->context = context;
    survey->timer = timer_new(loop, on_timer, survey);
    memcpy(survey->cluster, map->cluster, ID_LEN);
    timer_set(survey->timer, SURVEY_WITHIN_MS);
    ask_all(survey, map);
    return survey;
}

const struct recover_answers *survey_answers(const struct survey *survey)
{
    return &survey->answers;
}

void survey_free(struct survey *survey)
{
    if (!survey) {
        return;
    }
    timer_free(survey->timer);
    for (uint32_t i = 0; i < survey->answers.count; i++) {
        struct inquiry *inquiry = survey->inquiries[i];
        inquiry->survey = NULL;
        if (inquiry->peer) {
            peer_close(inquiry->peer, "the asking is over");
        } else {
            free(inquiry);
        }
    }
    free(survey->inquiries);
    recover_answers_fini(&survey->answers);
    free(survey);
}
