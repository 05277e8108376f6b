/* SPDX-License-Identifier: MIT */
#include "bootstrapd/conduct.h"

#include <stdlib.h>

#include "bootstrapd/admission.h"
#include "bootstrapd/parts.h"
#include "io/memory.h"

/* What a server said on its present connection, and what it was told there. */
struct heard {
    uint8_t server[ID_LEN];
    bool is_there;
    struct move_reports reports;
    struct move_pace *told;
    uint32_t told_count;
};

struct conduct {
    struct heard *heard;
    uint32_t heard_count;
    struct move_report *figures; /* of tries that go on: the most that either side told */
    uint32_t figure_count;
};

struct conduct *conduct_new(void)
{
    return memory_get(1, sizeof(struct conduct));
}

static void forget(struct heard *heard)
{
    heard->is_there = false;
    move_reports_fini(&heard->reports);
    free(heard->told);
    heard->told = NULL;
    heard->told_count = 0;
}

void conduct_free(struct conduct *conduct)
{
    if (!conduct) {
        return;
    }
    for (uint32_t i = 0; i < conduct->heard_count; i++) {
        forget(&conduct->heard[i]);
    }
    free(conduct->heard);
    free(conduct->figures);
    free(conduct);
}

static struct heard *find_heard(const struct conduct *conduct, const uint8_t server[ID_LEN])
{
    for (uint32_t i = 0; i < conduct->heard_count; i++) {
        if (id_bytes_equal(conduct->heard[i].server, server)) {
            return &conduct->heard[i];
        }
    }
    return NULL;
}

static struct heard *get_heard(struct conduct *conduct, const uint8_t server[ID_LEN])
{
    struct heard *heard = find_heard(conduct, server);
    if (!heard) {
        conduct->heard =
            memory_resize(conduct->heard, conduct->heard_count + 1, sizeof(*conduct->heard));
        heard = &conduct->heard[conduct->heard_count++];
        *heard = (struct heard){.is_there = false};
        memcpy(heard->server, server, ID_LEN);
    }
    return heard;
}

/* --- figures --- */

static struct move_report *find_figures(const struct conduct *conduct, uint64_t id)
{
    for (uint32_t i = 0; i < conduct->figure_count; i++) {
        if (conduct->figures[i].id == id) {
            return &conduct->figures[i];
        }
    }
    return NULL;
}

static void raise_figures(struct conduct *conduct, const struct move_report *report)
{
    struct move_report *figures = find_figures(conduct, report->id);
    if (!figures) {
        conduct->figures =
            memory_resize(conduct->figures, conduct->figure_count + 1, sizeof(*conduct->figures));
        figures = &conduct->figures[conduct->figure_count++];
        *figures = (struct move_report){.id = report->id};
    }
    move_report_raise(figures, report);
}

/* Of ids that no move has. */
static void drop_figures(struct conduct *conduct, const struct moves *moves)
{
    for (uint32_t i = conduct->figure_count; i > 0; i--) {
        if (!moves_find_id(moves, conduct->figures[i - 1].id)) {
            conduct->figures[i - 1] = conduct->figures[--conduct->figure_count];
        }
    }
}

/* --- what is known --- */

void conduct_on_reports(struct conduct *conduct, const uint8_t server[ID_LEN],
                        struct move_reports *reports)
{
    struct heard *heard = get_heard(conduct, server);
    move_reports_fini(&heard->reports);
    heard->is_there = true;
    heard->reports = *reports;
    *reports = (struct move_reports){0};
    for (uint32_t i = 0; i < heard->reports.count; i++) {
        raise_figures(conduct, &heard->reports.items[i]);
    }
}

void conduct_on_gone(struct conduct *conduct, const uint8_t server[ID_LEN])
{
    struct heard *heard = find_heard(conduct, server);
    if (heard) {
        forget(heard);
    }
}

const struct move_report *conduct_report(const struct conduct *conduct,
                                         const uint8_t server[ID_LEN], uint64_t id)
{
    const struct heard *heard = find_heard(conduct, server);
    return heard && heard->is_there ? move_reports_find(&heard->reports, id) : NULL;
}

/* A state of the other role is nothing that this server can have said of its own part. */
static struct conduct_word word_of(const struct conduct *conduct, const struct map_entry *entry,
                                   bool is_source)
{
    const uint8_t *server = is_source ? entry->move.source : entry->move.target;
    const struct heard *heard = find_heard(conduct, server);
    if (!heard || !heard->is_there) {
        return (struct conduct_word){.is_known = false};
    }
    struct conduct_word word = {.is_known = true,
                                .is_current = heard->reports.revision >= entry->epoch};
    for (uint32_t i = 0; i < heard->reports.count; i++) {
        const struct move_report *report = &heard->reports.items[i];
        if (report->id == entry->move.id && move_state_is_source(report->state) == is_source) {
            word.state = report->state;
        }
    }
    return word;
}

/* --- the table --- */

static bool has_lost(const struct conduct_word *word)
{
    return word->state == MOVE_SOURCE_LOST || word->state == MOVE_TARGET_LOST ||
           word->state == MOVE_TARGET_DELETING;
}

static enum conduct_verdict judge_copy(enum move_wish wish, const struct conduct_word *source,
                                       const struct conduct_word *target)
{
    if (wish == WISH_ABORT) {
        return CONDUCT_ABORT;
    }
    /* First: a source that was started again when its target had all is no reason to begin anew. */
    if (target->state == MOVE_TARGET_READY) {
        return CONDUCT_COMMIT;
    }
    return has_lost(source) || has_lost(target) ? CONDUCT_ABORT : CONDUCT_STAYS;
}

static bool is_given_up(enum move_wish wish, const struct conduct_word *target)
{
    return wish == WISH_UNDO_LOSS && !target->is_known;
}

static enum conduct_verdict judge_committed(enum move_wish wish, const struct conduct_word *target)
{
    if (target->state == MOVE_TARGET_OPEN) {
        return CONDUCT_OPENED;
    }
    if (is_given_up(wish, target)) {
        return CONDUCT_ABORT;
    }
    return wish == WISH_UNDO || wish == WISH_UNDO_LOSS ? CONDUCT_UNDO : CONDUCT_STAYS;
}

static enum conduct_verdict judge_undo(enum move_wish wish, const struct conduct_word *target)
{
    if (target->state == MOVE_TARGET_OPEN) {
        return CONDUCT_OPENED;
    }
    bool will_not_open = target->is_current && target->state == MOVE_TARGET_READY;
    return will_not_open || is_given_up(wish, target) ? CONDUCT_ABORT : CONDUCT_STAYS;
}

enum conduct_verdict conduct_judge(enum move_phase phase, enum move_wish wish,
                                   const struct conduct_word *source,
                                   const struct conduct_word *target)
{
    switch (phase) {
    case MOVE_COPY:
        return judge_copy(wish, source, target);
    case MOVE_COMMITTED:
        return judge_committed(wish, target);
    case MOVE_UNDO:
        return judge_undo(wish, target);
    case MOVE_OPENED:
        return source->is_current && source->state == 0 ? CONDUCT_OVER : CONDUCT_STAYS;
    case MOVE_NONE:
    case MOVE_ABORTED:
        break;
    }
    return CONDUCT_STAYS;
}

/* --- one change --- */

struct work {
    struct conduct *conduct;
    const struct cluster *cluster;
    uint64_t now_ms;
    struct plan *plan;
    bool is_begun;
};

/* As it is, or as it would be with what is planned so far. */
static const struct ledger *seen(const struct work *work)
{
    return work->is_begun ? &work->plan->next : cluster_ledger(work->cluster);
}

static struct ledger *planned(struct work *work)
{
    if (!work->is_begun) {
        work->is_begun = true;
        plan_begin(work->plan, cluster_ledger(work->cluster));
    }
    return &work->plan->next;
}

static void say(struct work *work, const struct map_entry *entry, const struct move *move,
                const char *what)
{
    struct text line;
    text_set(&line, "shard %s: ", entry->name);
    if (move) {
        text_add(&line, "move %llu: ", (unsigned long long)move->number);
    }
    text_add(&line, "%s", what);
    plan_say(work->plan, &line);
}

static void take_figures(const struct work *work, struct move *move)
{
    const struct move_report *figures = find_figures(work->conduct, move->id);
    if (figures) {
        move->records = figures->records;
        move->bytes = figures->bytes;
        memcpy(move->hold_us, figures->hold_us, sizeof(move->hold_us));
        move_hold_settle(move->hold_us);
    }
}

static void end_move(struct work *work, struct move *move, enum move_course course,
                     const char *reason)
{
    take_figures(work, move);
    plan_end_move(work->plan, move, course, reason, work->now_ms);
}

/* Why the try came to nothing: in the words of whoever gave it up. */
static void note_reason(const struct work *work, const struct map_entry *entry, struct move *move)
{
    const struct move_report *reports[] = {
        conduct_report(work->conduct, entry->move.source, entry->move.id),
        conduct_report(work->conduct, entry->move.target, entry->move.id),
    };
    move_set_text(move->reason, sizeof(move->reason), "one of the servers has lost it");
    for (uint32_t i = 0; i < 2; i++) {
        if (reports[i] && reports[i]->text[0] &&
            (reports[i]->state == MOVE_SOURCE_LOST || reports[i]->state == MOVE_TARGET_LOST)) {
            struct text text = {{0}};
            text_set(&text, "%s", i == 0 ? "" : "the target: ");
            text_add_foreign(&text, bytes_text(reports[i]->text));
            move_set_text(move->reason, sizeof(move->reason), text.chars);
            return;
        }
    }
}

static uint64_t pause_ms(uint32_t try_count)
{
    return (uint64_t)CONDUCT_PAUSE_MIN_MS << (try_count > 0 ? try_count - 1 : 0);
}

static void abort_copy(struct work *work, const struct map_entry *entry, struct move *move)
{
    if (!move) {
        say(work, entry, NULL, "the move is aborted");
    } else if (move->wish == WISH_ABORT) {
        say(work, entry, move, "aborted");
        end_move(work, move, COURSE_ABORTED, "");
    } else {
        note_reason(work, entry, move);
        move->not_before_ms = work->now_ms + pause_ms(move->try_count);
        say(work, entry, move, move->reason);
        if (move->try_count >= CONDUCT_TRIES_MAX) {
            end_move(work, move, COURSE_FAILED, "");
        }
    }
}

static void give_back(struct work *work, const struct map_entry *entry, struct move *move)
{
    say(work, entry, move, "undone: the source has the range again");
    if (move) {
        end_move(work, move, COURSE_UNDONE, "");
    }
}

static void finish(struct work *work, const struct map_entry *entry, struct move *move)
{
    say(work, entry, move, "done");
    if (move) {
        end_move(work, move, COURSE_DONE, "");
    }
}

static enum move_phase phase_after(enum conduct_verdict verdict)
{
    switch (verdict) {
    case CONDUCT_COMMIT:
        return MOVE_COMMITTED;
    case CONDUCT_UNDO:
        return MOVE_UNDO;
    case CONDUCT_OPENED:
        return MOVE_OPENED;
    case CONDUCT_ABORT:
        return MOVE_ABORTED;
    case CONDUCT_OVER:
    case CONDUCT_STAYS:
        break;
    }
    return MOVE_NONE;
}

static void carry_out(struct work *work, uint32_t index, enum conduct_verdict verdict)
{
    struct map_entry before = seen(work)->map.entries[index];
    struct ledger *next = planned(work);
    struct map_entry *entry = &next->map.entries[index];
    struct move *move = moves_find_id(&next->moves, before.move.id);
    if (!plan_set_phase(work->plan, entry, &before, phase_after(verdict))) {
        return;
    }
    switch (verdict) {
    case CONDUCT_COMMIT:
        say(work, entry, move, "committed: the target may open");
        break;
    case CONDUCT_UNDO:
        say(work, entry, move, "the target is asked to give it back");
        break;
    case CONDUCT_OPENED:
        say(work, entry, move, "the target is open");
        if (move) {
            move->wish = WISH_NONE;
            take_figures(work, move);
        }
        break;
    case CONDUCT_ABORT:
        if (before.move.phase == MOVE_COPY) {
            abort_copy(work, entry, move);
        } else {
            give_back(work, entry, move);
        }
        break;
    case CONDUCT_OVER:
        finish(work, entry, move);
        break;
    case CONDUCT_STAYS:
        break;
    }
}

/* Entries in the order of the circle: which of two comes first does not matter. */
static void follow_entries(struct work *work)
{
    for (uint32_t i = 0; i < seen(work)->map.entry_count; i++) {
        const struct map_entry *entry = &seen(work)->map.entries[i];
        if (entry->move.phase == MOVE_NONE || entry->move.phase == MOVE_ABORTED) {
            continue;
        }
        const struct move *move = moves_find_id(&seen(work)->moves, entry->move.id);
        struct conduct_word source = word_of(work->conduct, entry, true);
        struct conduct_word target = word_of(work->conduct, entry, false);
        enum conduct_verdict verdict =
            conduct_judge(entry->move.phase, move ? move->wish : WISH_NONE, &source, &target);
        if (verdict != CONDUCT_STAYS) {
            carry_out(work, i, verdict);
        }
    }
}

/* --- beginning --- */

static bool is_going_on(const struct map_entry *entry)
{
    return entry->move.phase != MOVE_NONE && entry->move.phase != MOVE_ABORTED;
}

static bool has_part(const struct map_entry *entry, const uint8_t server[ID_LEN])
{
    return is_going_on(entry) && (id_bytes_equal(entry->move.source, server) ||
                                  id_bytes_equal(entry->move.target, server));
}

/* What the source only deletes is behind the move, as long as it keeps up. */
static bool is_busy(const struct map *map, const uint8_t server[ID_LEN])
{
    uint32_t deleting_count = 0;
    for (uint32_t i = 0; i < map->entry_count; i++) {
        const struct map_entry *entry = &map->entries[i];
        if (!has_part(entry, server)) {
            continue;
        }
        if (entry->move.phase != MOVE_OPENED) {
            return true;
        }
        deleting_count += id_bytes_equal(entry->move.source, server);
    }
    return deleting_count >= CONDUCT_DELETING_MAX;
}

/* A middle part leaves two beside it. */
static bool begin_part(struct work *work, struct move *move, uint32_t index, struct text *why)
{
    const struct map *map = &work->plan->next.map;
    if (move->end < map->entries[index].end && !parts_split(work->plan, index, move->end, why)) {
        return false;
    }
    if (move->start > map->entries[index].start &&
        !parts_split(work->plan, index, move->start, why)) {
        return false;
    }
    move->is_cut = true;
    move->not_before_ms = work->now_ms + CONDUCT_COUNT_WITHIN_MS;
    return true;
}

/* With the neighbour at `index` and `index` + 1, if both are parts of one shard and counted since. */
static void share_size(struct work *work, uint32_t index)
{
    const struct ledger *present = cluster_ledger(work->cluster);
    struct ledger *next = planned(work);
    uint64_t records[2];
    uint64_t bytes[2];
    if (index + 1 >= present->map.entry_count) {
        return;
    }
    const struct map_entry *left = &present->map.entries[index];
    if (cuts_has(&next->cuts, left->end) && id_bytes_equal(left[0].server, left[1].server) &&
        !is_going_on(&left[0]) && !is_going_on(&left[1]) &&
        cluster_count(work->cluster, &left[0], true, &records[0], &bytes[0]) &&
        cluster_count(work->cluster, &left[1], true, &records[1], &bytes[1])) {
        parts_share_size(work->plan, index, bytes[0], bytes[1]);
    }
}

static void begin_try(struct work *work, struct move *move, uint32_t index)
{
    struct ledger *next = planned(work);
    struct map_entry *entry = &next->map.entries[index];
    if (move->is_cut && index > 0) {
        share_size(work, index - 1);
    }
    if (move->is_cut) {
        share_size(work, index);
    }
    if (move->begun_ms == 0) {
        move->begun_ms = work->now_ms;
    }
    move_set_text(move->shard, sizeof(move->shard), entry->name);
    plan_begin_try(work->plan, entry, move);
    struct text line;
    text_set(&line, "shard %s: move %llu: copy to server ", entry->name,
             (unsigned long long)move->number);
    text_add_id(&line, move->target);
    if (move->try_count > 1) {
        text_add(&line, ", try %u", move->try_count);
    }
    plan_say(work->plan, &line);
}

/* Both parts are counted by their owner, which has the split. */
static bool is_counted(const struct work *work, const struct move *move)
{
    const struct map *map = &cluster_ledger(work->cluster)->map;
    const struct map_entry *entry = move_find_entry(move, map);
    uint64_t records;
    uint64_t bytes;
    return entry && cluster_count(work->cluster, entry, true, &records, &bytes);
}

static bool has_in_common(const struct move *move, const struct move *other)
{
    return id_bytes_equal(move->source, other->source) ||
           id_bytes_equal(move->source, other->target) ||
           id_bytes_equal(move->target, other->source) ||
           id_bytes_equal(move->target, other->target);
}

/* By the wall clock, which may have gone back since: none waits longer than the longest pause. */
static bool is_pausing(const struct work *work, const struct move *move)
{
    return move->not_before_ms > work->now_ms &&
           move->not_before_ms - work->now_ms <= pause_ms(CONDUCT_TRIES_MAX);
}

/* One that was asked for before, and whose shard was split for it, is not overtaken while its parts are counted. */
static bool is_another_next(const struct work *work, const struct move *move, bool is_counted_too)
{
    const struct moves *moves = &seen(work)->moves;
    for (const struct move *other = moves->items; other < move; other++) {
        if (other->course == COURSE_WAITING && other->is_cut && !other->is_paused &&
            (is_counted_too || is_pausing(work, other)) && has_in_common(move, other)) {
            return true;
        }
    }
    return false;
}

/* Of a part: while others go on, too, so that it is counted by the time they are over; one ahead. */
static bool may_be_split(const struct work *work, const struct move *move,
                         const struct map_entry *entry)
{
    bool is_whole = entry->start == move->start && entry->end == move->end;
    return !is_whole && !is_another_next(work, move, true);
}

static bool is_due(const struct work *work, const struct move *move)
{
    const struct map *map = &seen(work)->map;
    const struct map_entry *entry = move_find_entry(move, map);
    bool is_time = !is_pausing(work, move) || (move->is_cut && is_counted(work, move));
    bool is_held = move->is_paused && move->course == COURSE_WAITING;
    if (!is_time || is_held || (entry && is_going_on(entry))) {
        return false;
    }
    bool is_free = !is_busy(map, move->source) && !is_busy(map, move->target);
    return (is_free && !is_another_next(work, move, false)) ||
           (entry && may_be_split(work, move, entry));
}

/* The entry of which it moves all or a part, if it is still so; else *why. */
static const struct map_entry *find_own(const struct map *map, const struct move *move,
                                        struct text *why)
{
    const struct map_entry *entry = move_find_entry(move, map);
    if (!entry || !id_bytes_equal(entry->server, move->source)) {
        text_set(why, "the range is no longer one shard's, or not its server's");
        return NULL;
    }
    if (move->course == COURSE_GOING && entry->move.id != move->id) {
        text_set(why, "its shard was split, joined or reset meanwhile");
        return NULL;
    }
    return entry;
}

static void fail_move(struct work *work, uint64_t number, const struct text *why)
{
    struct ledger *next = planned(work);
    struct move *move = moves_find(&next->moves, number);
    struct text line;
    text_set(&line, "shard %s: move %llu: failed: %s", move->shard, (unsigned long long)number,
             why->chars);
    plan_say(work->plan, &line);
    end_move(work, move, COURSE_FAILED, why->chars);
}

/* True: a shard was split, so that indexes are others now. */
static bool begin_move(struct work *work, uint64_t number)
{
    struct text why = {{0}};
    const struct ledger *ledger = seen(work);
    const struct move *move = moves_find(&ledger->moves, number);
    const struct map_entry *entry = find_own(&ledger->map, move, &why);
    enum status status = entry ? admission_check(work->cluster, move, &why) : STATUS_DENIED;
    if (status == STATUS_TRY_LATER) {
        return false;
    }
    if (status != STATUS_OK) {
        fail_move(work, number, &why);
        return false;
    }
    uint32_t index = (uint32_t)(entry - ledger->map.entries);
    bool is_whole = entry->start == move->start && entry->end == move->end;
    struct move *next_move = moves_find(&planned(work)->moves, number);
    if (is_whole) {
        begin_try(work, next_move, index);
    } else if (!begin_part(work, next_move, index, &why)) {
        fail_move(work, number, &why);
    }
    return !is_whole;
}

static bool is_entry_aborted(const struct work *work, const struct move *move)
{
    const struct map_entry *entry = move_find_entry(move, &seen(work)->map);
    return !entry || entry->move.id != move->id || entry->move.phase == MOVE_ABORTED;
}

/* By number, so that a move which was asked for first begins first. True: as begin_move. */
static bool follow_moves(struct work *work)
{
    for (uint32_t i = 0; i < seen(work)->moves.count; i++) {
        const struct move *move = &seen(work)->moves.items[i];
        uint64_t number = move->number;
        if (move->course == COURSE_GOING && !is_entry_aborted(work, move)) {
            continue;
        }
        if (move->wish == WISH_ABORT) {
            struct move *ended = moves_find(&planned(work)->moves, number);
            end_move(work, ended, COURSE_ABORTED, "");
        } else if (is_due(work, move) && begin_move(work, number)) {
            return true;
        }
        /* One that has left the list gives its place to the next. */
        i -= !moves_find(&seen(work)->moves, number);
    }
    return false;
}

/* One pair at a time: indexes behind it are others then. */
static void join_parts(struct work *work)
{
    const struct ledger *ledger = seen(work);
    for (uint32_t i = 0; ledger->cuts.count > 0 && i + 1 < ledger->map.entry_count; i++) {
        if (parts_may_join(ledger, i)) {
            planned(work);
            parts_join(work->plan, i);
            return;
        }
    }
}

bool conduct_next(struct conduct *conduct, const struct cluster *cluster, uint64_t now_ms,
                  struct plan *plan)
{
    struct work work = {conduct, cluster, now_ms, plan, false};
    drop_figures(conduct, &cluster_ledger(cluster)->moves);
    if (!text_is_empty(cluster_behind(cluster)) || !cluster_ledger(cluster)->is_founded) {
        return false;
    }
    follow_entries(&work);
    if (!follow_moves(&work)) {
        join_parts(&work);
    }
    if (work.is_begun && !plan->is_changed && !plan->is_noted) {
        plan_fini(plan);
        return false;
    }
    return work.is_begun;
}

bool conduct_is_busy(const struct cluster *cluster)
{
    const struct ledger *ledger = cluster_ledger(cluster);
    for (uint32_t i = 0; i < ledger->map.entry_count; i++) {
        if (is_going_on(&ledger->map.entries[i])) {
            return true;
        }
    }
    return ledger->moves.count > 0;
}

bool conduct_has_part(const struct cluster *cluster, const uint8_t server[ID_LEN])
{
    const struct map *map = &cluster_ledger(cluster)->map;
    for (uint32_t i = 0; i < map->entry_count; i++) {
        if (has_part(&map->entries[i], server)) {
            return true;
        }
    }
    return false;
}

bool conduct_wants_count(const struct cluster *cluster, const uint8_t server[ID_LEN])
{
    const struct ledger *ledger = cluster_ledger(cluster);
    for (uint32_t i = 0; i < ledger->moves.count; i++) {
        const struct move *move = &ledger->moves.items[i];
        if (move->is_cut && move->course == COURSE_WAITING &&
            id_bytes_equal(move->source, server)) {
            return true;
        }
    }
    for (uint32_t i = 0; i < ledger->map.entry_count; i++) {
        const struct map_entry *entry = &ledger->map.entries[i];
        uint64_t records;
        uint64_t bytes;
        if (id_bytes_equal(entry->server, server) &&
            !cluster_count(cluster, entry, false, &records, &bytes)) {
            return true;
        }
    }
    return false;
}

/* --- pace --- */

static bool is_same_pace(const struct move_pace *a, const struct move_pace *b)
{
    return a->id == b->id && a->bytes_per_s == b->bytes_per_s && a->is_paused == b->is_paused;
}

/* NULL: on this connection nothing was; it may go by what it was told on another. */
static const struct move_pace *told_of(const struct heard *heard, uint64_t id)
{
    for (uint32_t i = 0; i < heard->told_count; i++) {
        if (heard->told[i].id == id) {
            return &heard->told[i];
        }
    }
    return NULL;
}

static void untell(struct heard *heard, uint64_t id)
{
    for (uint32_t i = heard->told_count; i > 0; i--) {
        if (heard->told[i - 1].id == id) {
            heard->told[i - 1] = heard->told[--heard->told_count];
        }
    }
}

static void tell(struct heard *heard, const struct move_pace *pace)
{
    untell(heard, pace->id);
    heard->told = memory_resize(heard->told, heard->told_count + 1, sizeof(*heard->told));
    heard->told[heard->told_count++] = *pace;
}

bool conduct_take_pace(struct conduct *conduct, const struct cluster *cluster,
                       const uint8_t server[ID_LEN], struct move_pace *pace)
{
    const struct moves *moves = &cluster_ledger(cluster)->moves;
    struct heard *heard = find_heard(conduct, server);
    if (!heard || !heard->is_there) {
        return false;
    }
    for (uint32_t i = 0; i < moves->count; i++) {
        const struct move *move = &moves->items[i];
        struct move_pace wanted = {move->id, move->bytes_per_s, move->is_paused};
        const struct move_pace *told = told_of(heard, move->id);
        if (move->course == COURSE_GOING && id_bytes_equal(move->source, server) &&
            move_reports_find(&heard->reports, move->id) &&
            (!told || !is_same_pace(&wanted, told))) {
            tell(heard, &wanted);
            *pace = wanted;
            return true;
        }
    }
    return false;
}

void conduct_untell(struct conduct *conduct, const uint8_t server[ID_LEN], uint64_t id)
{
    struct heard *heard = find_heard(conduct, server);
    if (heard) {
        untell(heard, id);
    }
}
