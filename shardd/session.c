/* SPDX-License-Identifier: MIT */
#include "shardd/session.h"

#include <stdlib.h>

#include "io/memory.h"

struct session {
    struct session *next;
    struct session *prev;
    struct sessions *sessions;
    struct peer *peer;
    void *owner;
    uint64_t bootstrapd;
    bool is_watching;
};

struct sessions {
    struct session *first;
    uint32_t count;
};

struct sessions *sessions_new(void)
{
    return memory_get(1, sizeof(struct sessions));
}

static void drop(struct session *session)
{
    struct sessions *sessions = session->sessions;
    if (session->next) {
        session->next->prev = session->prev;
    }
    if (session->prev) {
        session->prev->next = session->next;
    } else {
        sessions->first = session->next;
    }
    sessions->count--;
    peer_set_data(session->peer, NULL);
    free(session);
}

void sessions_free(struct sessions *sessions)
{
    if (!sessions) {
        return;
    }
    struct session *session = sessions->first;
    while (session) {
        struct session *next = session->next;
        peer_set_data(session->peer, NULL);
        peer_close(session->peer, "the server has ended");
        free(session);
        session = next;
    }
    free(sessions);
}

void sessions_add(struct sessions *sessions, struct peer *peer, void *owner)
{
    struct session *session = memory_get(1, sizeof(*session));
    session->sessions = sessions;
    session->peer = peer;
    session->owner = owner;
    session->next = sessions->first;
    if (session->next) {
        session->next->prev = session;
    }
    sessions->first = session;
    sessions->count++;
    peer_set_data(peer, session);
}

void session_end(struct peer *peer)
{
    struct session *session = peer_data(peer);
    if (session) {
        drop(session);
    }
}

void *session_owner(const struct peer *peer)
{
    const struct session *session = peer_data(peer);
    return session ? session->owner : NULL;
}

void session_watch(struct peer *peer)
{
    struct session *session = peer_data(peer);
    session->is_watching = true;
}

void session_greet(struct peer *peer, uint64_t bootstrapd)
{
    struct session *session = peer_data(peer);
    session->bootstrapd = bootstrapd;
}

uint64_t session_greeted(const struct peer *peer)
{
    const struct session *session = peer_data(peer);
    return session ? session->bootstrapd : 0;
}

void sessions_notify(struct sessions *sessions, struct bytes frame)
{
    for (const struct session *session = sessions->first; session; session = session->next) {
        if (session->is_watching) {
            buffer_append_bytes(peer_output(session->peer), frame);
        }
    }
}

uint32_t sessions_count(const struct sessions *sessions)
{
    return sessions->count;
}

void sessions_finish(struct sessions *sessions, const char *reason)
{
    for (const struct session *session = sessions->first; session; session = session->next) {
        peer_finish(session->peer, reason);
    }
}

void sessions_cut(struct sessions *sessions, const char *reason)
{
    for (const struct session *session = sessions->first; session; session = session->next) {
        peer_close(session->peer, reason);
    }
}
