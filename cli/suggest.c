/* SPDX-License-Identifier: MIT */
#include "cli/suggest.h"

#include <limits.h>
#include <stddef.h>
#include <string.h>

#define WORD_LEN_MAX 32

static const struct {
    const char *word;
    const char *command;
} synonyms[] = {
    {"get", "read"},       {"cat", "read"},        {"fetch", "read"},    {"set", "write"},
    {"put", "write"},      {"add", "write"},       {"insert", "write"},  {"store", "write"},
    {"del", "delete"},     {"rm", "delete"},       {"remove", "delete"}, {"unlink", "delete"},
    {"getdel", "pop"},     {"take", "pop"},        {"has", "exists"},    {"contains", "exists"},
    {"exist", "exists"},   {"scan", "keys"},       {"ls", "keys"},       {"list", "keys"},
    {"increment", "incr"}, {"incrby", "incr"},     {"load", "import"},   {"recover", "restore"},
    {"dump", "export"},    {"snapshot", "backup"}, {"info", "status"},   {"stat", "status"},
    {"stats", "status"},   {"apply", "map apply"}, {"init", "map init"}, {"reset", "shard reset"},
    {"ttl", "expire"},     {"persist", "expire"},  {"touch", "expire"},  {"pexpire", "expire"},
    {"mint", "id mint"},
};

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

unsigned suggest_distance(const char *a, const char *b)
{
    unsigned rows[3][WORD_LEN_MAX + 1];
    size_t a_len = strlen(a), b_len = strlen(b);
    if (a_len > WORD_LEN_MAX || b_len > WORD_LEN_MAX) {
        return UINT_MAX;
    }
    for (unsigned j = 0; j <= b_len; j++) {
        rows[0][j] = j;
    }
    for (unsigned i = 1; i <= a_len; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i - 1) % 3];
        row[0] = i;
        for (unsigned j = 1; j <= b_len; j++) {
            row[j] = least(above[j] + 1, row[j - 1] + 1);
            row[j] = least(row[j], above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                row[j] = least(row[j], rows[(i - 2) % 3][j - 2] + 1);
            }
        }
    }
    return rows[a_len % 3][b_len];
}

void suggest_init(struct suggest *suggest, const char *word)
{
    *suggest = (struct suggest){.word = word, .best_distance = UINT_MAX};
}

/* A third of the word may be wrong, but something of it must be right. */
static unsigned tolerance(const char *word)
{
    size_t len = strlen(word);
    return len < 4 ? 1 : len < 7 ? 2 : 3;
}

void suggest_offer(struct suggest *suggest, const char *name)
{
    unsigned distance = suggest_distance(suggest->word, name);
    if (distance <= tolerance(suggest->word) && distance < suggest->best_distance) {
        suggest->best = name;
        suggest->best_distance = distance;
    }
}

const char *suggest_best(const struct suggest *suggest)
{
    return suggest->best;
}

const char *suggest_synonym(const char *word)
{
    for (size_t i = 0; i < sizeof(synonyms) / sizeof(synonyms[0]); i++) {
        if (strcmp(word, synonyms[i].word) == 0) {
            return synonyms[i].command;
        }
    }
    return NULL;
}
