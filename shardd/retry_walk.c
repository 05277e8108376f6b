/* SPDX-License-Identifier: MIT */
#include "io/memory.h"
#include "shardd/retry_internal.h"

/* Buckets, lines and results that one step looks at: a quarter of a millisecond. */
#define WALK_LOOKS 4096

/* Bytes of results in one step, unless it is of one line. */
#define WALK_LEN (1u << 20)

/* What the value in the making keeps between steps. */
#define VALUE_CAPACITY_KEPT (64u << 10)

struct step {
    struct retries *retries;
    const struct retry_walk *walk;
    uint32_t looks;
    size_t len;
};

static bool is_in(const struct retry_walk *walk, const struct kept *kept)
{
    return kept->point >= walk->start && kept->point <= walk->last;
}

/* One whose result cannot be read is not known: RETRY_DAMAGED there, too. */
static bool is_damaged(const struct retry_walk *walk, const struct line *line)
{
    bool has_damaged = line->is_damaged;
    for (uint32_t i = 0; i < line->kept_count; i++) {
        const struct kept *kept = line_at(line, i);
        has_damaged |= kept->len == 0 && is_in(walk, kept);
    }
    return has_damaged;
}

static void visit_state(const struct retry_walk *walk, const struct line *line)
{
    struct stream_line state = {
        .is_damaged = is_damaged(walk, line),
        .done = line->now.done,
        .highest = line->now.highest,
        .forgotten = line->now.forgotten,
        .seen_ms = line->now.seen_ms,
    };
    memcpy(state.client, line->client, ID_LEN);
    walk->on_line(walk->context, &state);
}

/* As its LOG_RESULT would be now. */
static void visit_result(struct step *step, const struct line *line, const struct kept *kept)
{
    struct buffer *value = &step->retries->value;
    (void)retry_begin_result(step->retries, line, kept->seq);
    buffer_append_bytes(value, kept_encoded(kept));
    memory_must(!value->failed);
    const struct log_op op = {
        .kind = LOG_RESULT,
        .point = kept->point,
        .key = bytes_of(line->client, ID_LEN),
        .value = buffer_bytes(value),
    };
    step->len += value->len;
    step->walk->on_result(step->walk->context, kept->stamp ? kept->stamp : line->stamp, &op);
}

static void visit_line(void *context, struct line *line)
{
    struct step *step = context;
    const struct retry_walk *walk = step->walk;
    step->looks += 1 + line->kept_count;
    if (line->is_ended || line->now.seen_ms < walk->since_ms) {
        return;
    }
    visit_state(walk, line);
    for (uint32_t i = 0; walk->since_ms == 0 && i < line->kept_count; i++) {
        const struct kept *kept = line_at(line, i);
        if (kept->len > 0 && is_in(walk, kept)) {
            visit_result(step, line, kept);
        }
    }
}

bool retries_walk(struct retries *retries, struct retry_walk *walk)
{
    struct step step = {.retries = retries, .walk = walk};
    bool more = true;
    retry_end_recovery(retries);
    while (more && step.looks < WALK_LOOKS && step.len < WALK_LEN) {
        more = lines_walk(&retries->lines, &walk->cursor, visit_line, &step);
        step.looks++;
    }
    buffer_shrink(&retries->value, VALUE_CAPACITY_KEPT);
    return more;
}
