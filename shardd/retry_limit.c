/* SPDX-License-Identifier: MIT */
#include "shardd/retry_internal.h"

/* Parts of the memory: of results, and of the lines themselves. */
#define RESULTS_PART 8
#define LINES_PART   4

/* What a popped value's result has beside it. */
#define LARGEST_RESULT_LEN (VALUE_LEN_MAX + (64u << 10))

/* Lines of some thousand clients, however little memory there is. */
#define LINES_LEN_MIN (1u << 20)

/* Lines that give something up in one call: a quarter of a millisecond. */
#define GIVE_UP_LINES 16

struct retry_limits retry_limits_of(uint64_t memory_len)
{
    uint64_t results_len = memory_len / RESULTS_PART;
    uint64_t lines_len = memory_len / LINES_PART;
    return (struct retry_limits){
        .results_len = results_len > LARGEST_RESULT_LEN ? results_len : LARGEST_RESULT_LEN,
        .lines_len = lines_len > LINES_LEN_MIN ? lines_len : LINES_LEN_MIN,
    };
}

void retries_limit(struct retries *retries, const struct retry_limits *limits)
{
    retries->limits = *limits;
}

bool retry_is_full(const struct retries *retries)
{
    return retries->lines.len - retries->lines.results_len >= retries->limits.lines_len;
}

/* --- sizes --- */

static unsigned size_of(uint64_t len)
{
    unsigned size = len == 0 ? 0 : 64 - (unsigned)__builtin_clzll(len);
    return size < SIZE_COUNT ? size : SIZE_COUNT - 1;
}

void retry_weigh(struct retries *retries, struct line *line)
{
    unsigned size = size_of(line_results_len(line));
    if (size == line->size || retries->is_recovering || line->is_damaged) {
        return;
    }
    if (line->size != 0) {
        line_list_remove(&retries->by_size[line->size], LINE_BY_SIZE, line);
    }
    line->size = (uint8_t)size;
    if (size != 0) {
        line_list_add(&retries->by_size[size], LINE_BY_SIZE, line);
    }
}

/* Whose results take most, to a factor of two. NULL: nobody's, but for those of `but`. */
static struct line *find_largest(const struct retries *retries, const struct line *but)
{
    for (unsigned size = SIZE_COUNT - 1; size > 0; size--) {
        struct line *line = retries->by_size[size].first;
        if (line && line == but) {
            line = line_next(line, LINE_BY_SIZE);
        }
        if (line) {
            return line;
        }
    }
    return NULL;
}

/* --- giving up --- */

static uint64_t kept_len(const struct kept *kept)
{
    return sizeof(*kept) + (kept->len > KEPT_INLINE_LEN ? kept->len : 0);
}

/* How many from the first on must go for at most `len` bytes to stay; those from `spared` on stay in any case. */
static uint32_t count_to_go(const struct line *line, uint64_t len, const uint64_t *spared)
{
    uint64_t left = line->kept_count * sizeof(*line->kept) + line->bytes_len;
    uint32_t count = 0;
    while (count < line->kept_count && left > len) {
        const struct kept *kept = line_at(line, count);
        if (spared && kept->seq == *spared) {
            break;
        }
        left -= kept_len(kept);
        count++;
    }
    return count;
}

/*
 * Half of what a line has, the oldest, goes as silence would make it go: `forgotten` rises to the last of it, in the
 * log, so a retry is STALE from now on and after any restart (RULES Q2). False: there was nothing to be had.
 */
static bool give_up_half(struct retries *retries, struct line *line, const uint64_t *spared)
{
    uint64_t len = line_results_len(line);
    uint32_t count = count_to_go(line, len / 2, spared);
    if (count > 0) {
        line->now.forgotten = line_at(line, count - 1)->seq;
        (void)retry_drop_through(retries, line, line->now.forgotten, true);
        (void)retry_log_done(retries, line);
    }
    line_fit(&retries->lines, line);
    retry_weigh(retries, line);
    return line_results_len(line) < len;
}

void retry_give_up(struct retries *retries, const struct line *spared, uint64_t seq)
{
    const struct line *fruitless = NULL;
    for (int i = 0; i < GIVE_UP_LINES && retry_has_too_much(retries); i++) {
        struct line *line = find_largest(retries, fruitless);
        if (!line) {
            return;
        }
        if (!give_up_half(retries, line, line == spared ? &seq : NULL)) {
            fruitless = line;
        }
    }
}
