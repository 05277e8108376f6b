/* SPDX-License-Identifier: MIT */
#include "cli/listing.h"

#include <stdio.h>

static enum exit_code print_table(struct session *session, const struct listing *listing,
                                  struct unpack *in, uint32_t count)
{
    struct table table;
    if (count == 0 && listing->say_nothing) {
        return listing->say_nothing(session);
    }
    table_init_headed(&table, listing->alignment, listing->headings);
    for (uint32_t i = 0; i < count && unpack_is_fine(in); i++) {
        listing->add(in, &table);
    }
    return table_print(&table);
}

static enum exit_code print_list(const struct listing *listing, struct unpack *in, uint32_t count)
{
    struct json_writer writer = {0};
    json_writer_open(&writer, NULL, '{');
    json_writer_open(&writer, listing->name, '[');
    for (uint32_t i = 0; i < count && unpack_is_fine(in); i++) {
        listing->write(in, &writer);
    }
    json_writer_close(&writer, ']');
    json_writer_close(&writer, '}');
    return json_writer_print(&writer);
}

static enum exit_code print_lines(const struct listing *listing, struct unpack *in, uint32_t count)
{
    enum exit_code code = EXIT_CODE_DONE;
    for (uint32_t i = 0; i < count && unpack_is_fine(in) && code == EXIT_CODE_DONE; i++) {
        struct json_writer writer = {0};
        listing->write(in, &writer);
        code = json_writer_print(&writer);
    }
    return code;
}

static enum exit_code print_answer(const struct ask *ask, const struct listing *listing)
{
    struct unpack in = ask_answer(ask);
    uint32_t count = unpack_array(&in);
    enum exit_code code = EXIT_CODE_DONE;
    if (!unpack_is_fine(&in)) {
        return ask_say_odd(ask);
    }
    if (!ask->session->arguments->json) {
        code = print_table(ask->session, listing, &in, count);
    } else {
        code = listing->name ? print_list(listing, &in, count) : print_lines(listing, &in, count);
    }
    return unpack_is_fine(&in) ? code : failure_worst(code, ask_say_odd(ask));
}

enum exit_code listing_print(struct ask *ask, const struct listing *listing)
{
    enum exit_code code = ask_send(ask);
    if (code == EXIT_CODE_DONE) {
        code = print_answer(ask, listing);
    }
    ask_end(ask);
    return code;
}
