/* SPDX-License-Identifier: MIT */
#ifndef CLI_SUGGEST_H
#define CLI_SUGGEST_H

/* What somebody who typed a word that is not known may have meant: a synonym, or the nearest name. */

struct suggest {
    const char *word;
    const char *best; /* NULL: nothing near enough yet */
    unsigned best_distance;
};

/* `word` is borrowed. */
void suggest_init(struct suggest *suggest, const char *word);

/* Offers a known name; of equally near ones the first offered wins. */
void suggest_offer(struct suggest *suggest, const char *name);

/* NULL when nothing offered is near. */
const char *suggest_best(const struct suggest *suggest);

/* The command that other stores call `word`: "get" -> "read". NULL if it is no such word. */
const char *suggest_synonym(const char *word);

/* Insertions, deletions, replacements and swaps of neighbours; words above 32 bytes are at UINT_MAX. */
unsigned suggest_distance(const char *a, const char *b);

#endif
