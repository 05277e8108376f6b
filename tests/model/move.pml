/* SPDX-License-Identifier: MIT */

/*
 * How a range moves between two servers, and back (RULES V, M2; DESIGN §7): checked by tests/model/run.
 *
 *     the map's entry: bootstrapd, durable
 *
 *         NONE ──> COPY ──> COMMITTED ──> OPENED ──> NONE
 *                  │  ^         │            ^
 *                  v  │         v            │
 *                 ABORTED <─── UNDO ─────────┘
 *
 *     the range at a server: durable
 *
 *         target    OUT ──> IMPORT ──> READY ──> OPEN
 *                    ^         v         v
 *                    └─────────┴─────────┘
 *         source    OPEN ──> FROZEN ──> CLOSED ──> DELETING ──> OUT
 *                    ^         v          v
 *                    └─────────┴──────────┘
 *
 * Every change of the map raises the epoch; the one that begins COPY gives the move its id. The owner is the
 * source in COPY and ABORTED, the target in COMMITTED, UNDO and OPENED. A row is one step: what it leaves
 * is durable before anything is said because of it (L6). All entries are taken by epoch, durably, in one
 * record with the state that follows.
 *
 *     who, in             event                                    does
 *     bootstrapd
 *       NONE, ABORTED     operator, plan, or try again             COPY, a new id. Waits for nobody
 *       COPY              target is READY for this id              COMMITTED, owner target, if nothing has changed since
 *       COPY              source or target has LOST this id        ABORTED
 *       COPY              operator, no room, link given up         ABORTED
 *       COMMITTED, UNDO   target is OPEN for this id               OPENED
 *       COMMITTED         operator undoes                          UNDO, owner still the target
 *       UNDO              target has taken this epoch, is READY    ABORTED, owner source
 *       OPENED            source is OUT for this id                NONE
 *       any               a server has not taken the entry         push it, until it has
 *     server, an entry of a higher epoch; it is the owner
 *       OPEN              COPY of another id                       live: new stream: BEGIN; the hand at the start
 *       OPEN, FROZEN      COPY of the same id (settings)           goes on as it was
 *       OPEN              ABORTED                                  the stream ends
 *       OPEN              COMMITTED, UNDO, OPENED, NONE            nothing
 *       FROZEN, CLOSED    ABORTED, or COPY of another id           OPEN; for a COPY as above
 *       READY             COMMITTED                                OPEN
 *       READY             UNDO                                     stays, and will not open by an earlier epoch
 *       OUT, IMPORT, DELETING                                      never: DATA_MISSING
 *     server, an entry of a higher epoch; it is not the owner
 *       FROZEN            COMMITTED, UNDO, OPENED                  CLOSED
 *       OPEN              any                                      CLOSED, keeps its data (M3): never in a move
 *       IMPORT, READY     COPY of the same id (settings)           stays
 *       IMPORT, READY     any other                                DROP: OUT
 *       OUT, CLOSED, DELETING                                      nothing
 *     source
 *       OPEN, live        next slice                               is read; sent when durable
 *       OPEN, live        a change is durable                      behind the hand: into the stream, after its slice
 *       OPEN, live        the hand has arrived, all is sent        FREEZE into the log: from here on requests are held
 *       OPEN, live        FREEZE is durable                        FROZEN; END with count and sum
 *       OPEN, FROZEN      restarted, or the link is given up       not live: LOST
 *       CLOSED            the entry says OPENED, walk agrees       DELETING (DELETED)
 *       DELETING          all is gone, also after a restart        OUT
 *     target
 *       OUT               BEGIN; its entry has that id in COPY     IMPORT, live, emptied
 *       IMPORT, live      slice; change                            into the tree; into log and hot table
 *       IMPORT, live      END, sums agree                          READY
 *       IMPORT            restarted, or sums differ (never here)   not live: LOST
 *     any                 an item of a link that is not the last   dropped
 *     client at a server
 *       OPEN, not freezing: executed. FROZEN, READY: held. Else WRONG_SHARD, with the server's entry
 *
 * What a server reports to bootstrapd (READY, OPEN, OUT, LOST of an id, UNDO taken) stays true until the map ends the
 * move: a late report is as good as a fresh one, so bootstrapd here just looks, and decides and writes the map
 * in two steps. Pushes do go stale: each server has one on its way, and with LATE an older one besides. A down server
 * is one that does nothing for a while: a crash is one step. A broken link loses pushes; items are resent until the
 * target has processed them (V3), so it costs nothing, or the source gives up. With its source's crash, what was sent
 * is lost or still arrives.
 *
 * Two keys. The world may do each kind of thing a bounded number of times, and may stop: so each run ends, and
 * where it does the range must be served and the move over. That there is no cycle is checked, too.
 *
 * Left out: the sweep, retry results and id reserves (they lie in the same log record and slice as their
 * record), expiry and eviction (changes like others), time (holding's deadline, the 100 ms of DESIGN §7, V9), lost
 * or restored disks, --accept-loss, splits and joins: none of them adds a message or a state here.
 */

/* --- bounds --- */

#ifndef FAULTS
#define FAULTS 2 /* crashes of anyone, links that break */
#endif
#ifndef MOVES
#define MOVES 2 /* begun, new tries included */
#endif
#ifndef WRITES
#define WRITES 2 /* puts and deletions */
#endif
#ifndef ABORTS
#define ABORTS 1 /* that no fault is the reason for */
#endif
#ifndef UNDOS
#define UNDOS 1
#endif
#ifndef EDITS
#define EDITS 0 /* of the shard's settings during COPY: a new epoch of the same move */
#endif

#define KEYS 2
#define ROOM 4 /* items in the stream: its cap (V1) */

/* --- state --- */

#define A 0
#define B 1
#define OTHER(x) (1 - (x))

mtype:phase = { NONE, COPY, COMMITTED, UNDO, OPENED, ABORTED };
mtype:state = { OUT, OPEN, FROZEN, CLOSED, DELETING, IMPORT, READY };
mtype:item = { BEGIN, SLICE, CHANGE, END };

typedef entry {
    byte epoch; /* 0: no entry */
    byte id;    /* of the move: the epoch that began it */
    bit owner;
    mtype:phase phase
};

typedef server {
    /* Durable. */
    entry map; /* as taken */
    mtype:state state;
    byte has[KEYS]; /* version of the record, 0: none */
    byte log[KEYS]; /* version of the last operation that recovery would replay, 0: none */
    byte sum[KEYS]; /* FREEZE's */
    /* Volatile. */
    byte hot[KEYS]; /* version of an operation that is not durable, 0: none */
    bool live;      /* it has its end of this move's stream */
    bool freezing;  /* FREEZE is in the log, and not durable */
    byte hand;      /* keys below it are behind the hand */
    byte cut        /* version in the slice that is read, of key hand - 1, 0: no such slice */
};

server at[2];

/* bootstrapd's: the map's one entry, durable, and the epoch at which it has decided to commit, volatile, 0: not. */
entry map;
byte due;

/* What the target has not processed. The source keeps it until then. */
chan stream = [ROOM] of { mtype:item, byte, byte };

entry push[2]; /* on its way to each server */
#ifdef LATE
entry late[2]; /* on its way there by an earlier link */
chan late_item = [1] of { mtype:item, byte, byte };
#endif

/* What the world may still do. */
byte faults = FAULTS, moves = MOVES, writes = WRITES, aborts = ABORTS, undos = UNDOS, edits = EDITS;

/* Of each key the newest version given, and acknowledged. Odd ones are records, even ones deletions. */
byte given[KEYS], acked[KEYS];

#ifdef CLIENT
/* One that has a request out, and goes where its map and redirects send it. Else anyone writes at whoever serves. */
bool asking;
byte asked_key, known_epoch = 1;
bit asked = A;
#endif

/* Zero, all: pan prints which is violated. */
hidden byte one_owner, nothing_lost_or_revived, sums_agree, owner_has_data, it_ends;

/* Used within one step: no part of the state. */
hidden byte key_read, version_read;

#define content(version) ((version) % 2 -> (version) : 0)
#define serves(x) (at[x].state == OPEN && !at[x].freezing)

/* --- bootstrapd --- */

#define target OTHER(map.owner) /* in COPY */
#define source OTHER(map.owner) /* from COMMITTED on */
#define of_this_move(x) (at[x].map.id == map.id)
#define is_open(x) (of_this_move(x) && at[x].state == OPEN)
#define lost_source(x) (of_this_move(x) && !at[x].live && (at[x].state == OPEN || at[x].state == FROZEN))
#define lost_target(x) (of_this_move(x) && !at[x].live && at[x].state == IMPORT)

#if defined M2_READY_OF_ANOTHER_MOVE
#define is_ready(x) (at[x].state == READY)
#elif defined V6_OPENS_ON_READY
#define is_ready(x) (of_this_move(x) && (at[x].state == READY || at[x].state == OPEN))
#else
#define is_ready(x) (of_this_move(x) && at[x].state == READY)
#endif

#ifdef V6_UNDO_UNASKED
#define will_not_open(x) true
#else
#define will_not_open(x) (at[x].map.epoch == map.epoch && at[x].state == READY)
#endif

#ifdef M2_COMMIT_BLIND
#define is_unchanged true
#else
#define is_unchanged (due == map.epoch)
#endif

inline change_map(new_owner, new_phase)
{
    map.epoch++;
    map.owner = new_owner;
    map.phase = new_phase
}

inline copy_entry(to, from)
{
    to.epoch = from.epoch;
    to.id = from.id;
    to.owner = from.owner;
    to.phase = from.phase
}

inline clear_entry(to)
{
    to.epoch = 0;
    to.id = 0;
    to.owner = 0;
    to.phase = 0
}

active proctype bootstrapd()
{
end:
    do
    :: d_step { push[A].epoch == 0 && at[A].map.epoch < map.epoch -> copy_entry(push[A], map) }
    :: d_step { push[B].epoch == 0 && at[B].map.epoch < map.epoch -> copy_entry(push[B], map) }

    /* Decided here; by the time it is written, the map may be another. */
    :: d_step { map.phase == COPY && is_ready(target) && due == 0 -> due = map.epoch }
    :: d_step { due != 0 && is_unchanged -> due = 0; change_map(target, COMMITTED) }
    :: d_step { due != 0 && !is_unchanged -> due = 0 }
#ifdef M2_TOLD_BEFORE_DURABLE
    :: d_step {
        due != 0 && due == map.epoch && push[target].epoch == 0 ->
        copy_entry(push[target], map);
        push[target].epoch++;
        push[target].owner = target;
        push[target].phase = COMMITTED
    }
#endif
#ifndef V3_RESTART_PASSED_OVER
    :: d_step { map.phase == COPY && lost_source(map.owner) -> change_map(map.owner, ABORTED) }
    :: d_step { map.phase == COPY && lost_target(target) -> change_map(map.owner, ABORTED) }
#endif
    :: d_step { map.phase == COMMITTED && is_open(map.owner) -> change_map(map.owner, OPENED) }
    :: d_step { map.phase == UNDO && is_open(map.owner) -> change_map(map.owner, OPENED) }
    :: d_step { map.phase == UNDO && will_not_open(map.owner) -> change_map(source, ABORTED) }
    :: d_step {
        map.phase == OPENED && of_this_move(source) && at[source].state == OUT ->
        change_map(map.owner, NONE);
        map.id = 0
    }
    od
}

/* --- a server --- */

#define my at[me]
#define news push[me]
#ifdef M1_LOWER_EPOCH_TAKEN
#define is_newer (news.epoch != 0 && news.epoch != my.map.epoch)
#else
#define is_newer (news.epoch > my.map.epoch)
#endif
#define mine (is_newer && news.owner == me)
#define others (is_newer && news.owner != me)
#define same_copy (news.phase == COPY && news.id == my.map.id)
#define other_copy (news.phase == COPY && news.id != my.map.id)

#ifdef V4_ANY_EPOCH_ENDS_IT
#define ends_freeze (!other_copy)
#else
#define ends_freeze (news.phase != COPY)
#endif

#define is_without_data (my.state == OUT || my.state == IMPORT || my.state == DELETING)
#define streams (my.live && my.state == OPEN && my.map.phase == COPY)
#define redirects (my.state != OPEN && my.state != FROZEN && my.state != READY)
#define imports (my.live && my.state == IMPORT)
#define now_has(key) (my.hot[key] -> content(my.hot[key]) : my.has[key])
#define has_room (!streams || len(stream) <= ROOM - 2)

/* The log is durable up to a place: what stands before FREEZE is durable when it is. */
#ifdef V4_FREEZE_OVERTAKES
#define before_freeze_durable true
#else
#define before_freeze_durable (my.hot[0] == 0 && my.hot[1] == 0)
#endif

#ifdef V6_DELETES_EARLY
#define may_delete true
#else
#define may_delete (my.map.phase == OPENED)
#endif

/* Sums agree by the protocol alone; blind to them, a planted error must do its harm. */
#ifdef BLIND
#define CHECK_SUM skip
#define CHECK_WALK skip
#else
#define CHECK_SUM assert(sums_agree || (my.has[0] == key_read && my.has[1] == version_read))
#define CHECK_WALK assert(sums_agree || (my.has[0] == my.sum[0] && my.has[1] == my.sum[1]))
#endif

/* In one record with the state that follows from it. */
inline take()
{
    copy_entry(my.map, news);
    clear_entry(news)
}

inline empty_stream()
{
    do
    :: nempty(stream) -> stream?_, _, _
    :: empty(stream) -> break
    od;
    skip
}

inline end_session()
{
    my.live = false;
    my.freezing = false;
    my.hand = 0;
    my.cut = 0;
    my.sum[0] = 0;
    my.sum[1] = 0
}

inline begin_session()
{
    end_session();
    empty_stream();
    my.live = true;
    stream!BEGIN, my.map.id, 0
}

/* Behind BEGIN, DROP and DELETED recovery replays nothing that stands before them (V2). */
inline cut_log()
{
#ifndef V2_LOG_NOT_CUT
    my.log[0] = 0;
    my.log[1] = 0
#else
    skip
#endif
}

inline remove_all()
{
    my.has[0] = 0;
    my.has[1] = 0
}

inline write(key)
{
    given[key]++;
    my.hot[key] = given[key]
}

inline send_slice()
{
    stream!SLICE, my.hand - 1, my.cut;
    my.cut = 0
}

/* A change behind the hand follows in the stream, after its slice (V1). */
inline join(key)
{
#ifndef V1_BEFORE_ITS_SLICE
    if
    :: my.cut != 0 && key == my.hand - 1 -> send_slice()
    :: else
    fi;
#endif
    stream!CHANGE, key, acked[key]
}

/* Durable, so acknowledged. */
inline save(key)
{
    acked[key] = my.hot[key];
    my.log[key] = my.hot[key];
    my.has[key] = content(my.hot[key]);
    my.hot[key] = 0;
#ifndef V1_NOT_JOINED
    if
    :: streams && key < my.hand -> join(key)
    :: else
    fi;
#endif
#ifdef CLIENT
    asking = false;
    asked_key = 0;
#endif
    skip
}

proctype shardd(bit me)
{
end:
    do
    /* An entry, from any link. */
    :: d_step { news.epoch != 0 && !is_newer -> clear_entry(news) }

    :: d_step { mine && my.state == OPEN && other_copy -> take(); begin_session() }
    :: d_step { mine && my.state == OPEN && same_copy -> take() }
    :: d_step { mine && my.state == OPEN && news.phase == ABORTED -> take(); end_session(); empty_stream() }
    :: d_step { mine && my.state == OPEN && news.phase != COPY && news.phase != ABORTED -> take() }
    :: d_step { mine && my.state == FROZEN && other_copy -> take(); my.state = OPEN; begin_session() }
    :: d_step { mine && my.state == FROZEN && ends_freeze -> take(); my.state = OPEN; end_session(); empty_stream() }
    :: d_step { mine && my.state == FROZEN && same_copy && !ends_freeze -> take() }
    :: d_step { mine && my.state == CLOSED && other_copy -> take(); my.state = OPEN; begin_session() }
    :: d_step { mine && my.state == CLOSED && !other_copy -> take(); my.state = OPEN; end_session() }
    :: d_step { mine && my.state == READY && news.phase == COMMITTED -> take(); my.state = OPEN }
    :: d_step { mine && my.state == READY && news.phase == UNDO -> take() }
    :: d_step { mine && is_without_data -> assert(owner_has_data) /* never */ }

    :: d_step { others && my.state == FROZEN -> take(); my.state = CLOSED; my.live = false; my.hand = 0 }
    :: d_step { others && my.state == OPEN -> take(); my.state = CLOSED; end_session() /* never */ }
    :: d_step { others && my.state == IMPORT && same_copy -> take() }
    :: d_step { others && my.state == IMPORT && !same_copy -> take(); my.state = OUT; my.live = false; cut_log() }
    :: d_step { others && my.state == READY && same_copy -> take() }
    :: d_step { others && my.state == READY && !same_copy -> take(); my.state = OUT; cut_log() }
    :: d_step { others && (my.state == OUT || my.state == CLOSED || my.state == DELETING) -> take() }

    /* The source. */
    :: d_step {
        streams && my.hand < KEYS && my.cut == 0 ->
        my.cut = now_has(my.hand);
        my.hand++
    }
    :: d_step { streams && my.cut != 0 && my.cut <= acked[my.hand - 1] && nfull(stream) -> send_slice() }
    :: d_step {
        streams && my.hand == KEYS && my.cut == 0 && !my.freezing && nfull(stream) ->
        my.freezing = true;
        my.sum[0] = now_has(0);
        my.sum[1] = now_has(1);
#ifdef V4_FREEZE_NOT_DURABLE
        stream!END, my.sum[0], my.sum[1]
#endif
    }
    :: d_step {
        streams && my.freezing && before_freeze_durable && nfull(stream) ->
        my.freezing = false;
        my.state = FROZEN;
#ifndef V4_FREEZE_NOT_DURABLE
        stream!END, my.sum[0], my.sum[1]
#endif
    }
#ifdef V4_TIMER_UNFREEZES
    :: d_step { my.state == FROZEN -> my.state = OPEN; end_session() }
#endif
    :: d_step { my.state == CLOSED && may_delete -> CHECK_WALK; my.state = DELETING; cut_log() }
    :: d_step { my.state == DELETING -> my.state = OUT; remove_all(); end_session() }

    /* The target. */
    :: d_step {
        my.state == OUT && my.map.phase == COPY && my.map.owner != me &&
            stream?[BEGIN, eval(my.map.id), version_read] ->
        stream?_, _, _;
        my.state = IMPORT;
        my.live = true;
#ifndef V2_NOT_EMPTIED
        remove_all();
#endif
        cut_log()
    }
    :: d_step {
        imports && stream?[SLICE, key_read, version_read] ->
        stream?_, key_read, version_read;
        my.has[key_read] = version_read
    }
    :: d_step {
        imports && stream?[CHANGE, key_read, version_read] ->
        stream?_, key_read, version_read;
        my.has[key_read] = content(version_read);
        my.log[key_read] = version_read
    }
    :: d_step {
        imports && stream?[END, key_read, version_read] ->
        stream?_, key_read, version_read;
        CHECK_SUM;
        my.live = false;
#ifndef V6_OPENS_ON_READY
        my.state = READY
#else
        my.state = OPEN
#endif
    }
#ifdef LATE
    :: d_step { late[me].epoch != 0 && news.epoch == 0 -> copy_entry(news, late[me]); clear_entry(late[me]) }
    :: d_step {
        my.map.owner != me && nempty(late_item) ->
        late_item?_, key_read, version_read;
#ifdef V3_OLD_LINK_HEARD
        if
        :: imports -> my.has[key_read] = content(version_read); my.log[key_read] = version_read
        :: else
        fi
#endif
    }
#endif

    /* Clients. */
    :: d_step { my.hot[0] != 0 && has_room -> save(0) }
    :: d_step { my.hot[1] != 0 && has_room -> save(1) }
#ifndef CLIENT
    :: d_step { writes > 0 && serves(me) -> writes--; write(0) }
    :: d_step { writes > 0 && serves(me) -> writes--; write(1) }
#else
    :: d_step { asking && asked == me && serves(me) && my.hot[asked_key] == 0 -> write(asked_key) }
#ifndef V6_NOT_REDIRECTED
    :: d_step {
        asking && asked == me && redirects && my.map.epoch > known_epoch ->
        asked = my.map.owner;
        known_epoch = my.map.epoch
    }
#endif
#endif
    od
}

/* --- the world --- */

#define is_over (map.phase == NONE || map.phase == ABORTED)
#define is_source(x) (at[x].map.owner == x && at[x].map.phase == COPY)

inline replay(x, key)
{
    if
    :: at[x].log[key] > at[x].has[key] -> at[x].has[key] = content(at[x].log[key])
    :: else
    fi
}

/* Dies, and starts again with what is durable. */
inline crash(x)
{
    faults--;
    if
    :: at[x].freezing -> at[x].freezing = false; at[x].sum[0] = 0; at[x].sum[1] = 0
    :: else
    fi;
    at[x].live = false;
    at[x].hand = 0;
    at[x].cut = 0;
    at[x].hot[0] = 0;
    at[x].hot[1] = 0;
    replay(x, 0);
    replay(x, 1);
    clear_entry(push[x]);
#ifdef LATE
    clear_entry(late[x]);
#endif
#ifdef V3_SAME_ID_AFTER_RESTART
    if
    :: is_source(x) && at[x].state == OPEN -> at[x].live = true
    :: else
    fi;
#endif
#ifdef V5_READY_NOT_DURABLE
    if
    :: at[x].state == READY -> at[x].state = IMPORT
    :: else
    fi;
#endif
#ifdef V6_CLOSED_REMOVES
    if
    :: at[x].state == CLOSED -> at[x].has[0] = 0; at[x].has[1] = 0
    :: else
    fi;
#endif
    skip
}

inline give_up(x)
{
    faults--;
    at[x].live = false;
    empty_stream()
}

inline delay_push(x)
{
    faults--;
    copy_entry(late[x], push[x]);
    clear_entry(push[x])
}

proctype world()
{
end:
    do
    :: d_step { moves > 0 && is_over -> moves--; change_map(map.owner, COPY); map.id = map.epoch }
    :: d_step { aborts > 0 && map.phase == COPY -> aborts--; change_map(map.owner, ABORTED) }
    :: d_step { undos > 0 && map.phase == COMMITTED -> undos--; change_map(map.owner, UNDO) }
#if EDITS
    :: d_step { edits > 0 && map.phase == COPY -> edits--; change_map(map.owner, COPY) }
#endif

    /* Crashes. What a source had sent goes with it, or arrives all the same. */
    :: d_step { faults > 0 && !is_source(A) -> crash(A) }
    :: d_step { faults > 0 && !is_source(B) -> crash(B) }
    :: d_step { faults > 0 && is_source(A) -> crash(A); empty_stream() }
    :: d_step { faults > 0 && is_source(B) -> crash(B); empty_stream() }
    :: d_step { faults > 0 && is_source(A) && nempty(stream) -> crash(A) }
    :: d_step { faults > 0 && is_source(B) && nempty(stream) -> crash(B) }
    :: d_step { faults > 0 && due != 0 -> faults--; due = 0 }

    /* Links break. */
    :: d_step { faults > 0 && push[A].epoch != 0 -> faults--; clear_entry(push[A]) }
    :: d_step { faults > 0 && push[B].epoch != 0 -> faults--; clear_entry(push[B]) }
    :: d_step { faults > 0 && is_source(A) && at[A].live -> give_up(A) }
    :: d_step { faults > 0 && is_source(B) && at[B].live -> give_up(B) }
#ifdef LATE
    :: d_step { faults > 0 && push[A].epoch != 0 && late[A].epoch == 0 -> delay_push(A) }
    :: d_step { faults > 0 && push[B].epoch != 0 && late[B].epoch == 0 -> delay_push(B) }
    :: d_step {
        faults > 0 && empty(late_item) && stream?[CHANGE, key_read, version_read] ->
        faults--;
        stream?<_, key_read, version_read>;
        late_item!CHANGE, key_read, version_read
    }
#endif
#ifdef CLIENT
    :: d_step { writes > 0 && !asking -> writes--; asking = true; asked_key = 0 }
    :: d_step { writes > 0 && !asking -> writes--; asking = true; asked_key = 1 }
#endif

    /* It may stop at any time: what goes on from there must need no more of it. */
    :: d_step {
        faults + moves + writes + aborts + undos + edits > 0 ->
        faults = 0;
        moves = 0;
        writes = 0;
        aborts = 0;
        undos = 0;
        edits = 0
    }
    od
}

/* --- what must hold --- */

#define has_all(x) (at[x].has[0] == content(acked[0]) && at[x].has[1] == content(acked[1]))
#define is_served (serves(map.owner) && at[OTHER(map.owner)].state == OUT)
#ifdef CLIENT
#define is_answered (!asking)
#else
#define is_answered true
#endif

proctype judge()
{
end:
    do
    :: d_step { serves(A) && serves(B) -> assert(one_owner) /* never */ }
    :: d_step { serves(A) && !has_all(A) -> assert(nothing_lost_or_revived) /* never */ }
    :: d_step { serves(B) && !has_all(B) -> assert(nothing_lost_or_revived) /* never */ }
    /* Nobody has anything left to do. */
    :: timeout ->
        if
        :: is_over && is_served && is_answered
        :: else -> assert(it_ends) /* never */
        fi;
        break
    od
}

init
{
    d_step {
        map.epoch = 1;
        map.owner = A;
        map.phase = NONE;
        copy_entry(at[A].map, map);
        copy_entry(at[B].map, map);
        at[A].state = OPEN;
        at[B].state = OUT;
        given[0] = 1;
        acked[0] = 1;
        at[A].has[0] = 1;
        at[A].log[0] = 1
    }
    atomic {
        run shardd(A);
        run shardd(B);
        run world();
        run judge()
    }
}
