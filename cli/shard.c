/* SPDX-License-Identifier: MIT */

/* shard reset: the way out when a server's data is lost (DESIGN §6). */

#include <inttypes.h>
#include <stdio.h>

#include "cli/actions.h"
#include "cli/json_writer.h"
#include "cli/output.h"
#include "proto/pack.h"

static enum exit_code print_reset(const struct session *session, struct bytes encoded)
{
    struct unpack in = unpack_of(encoded);
    const char *name = session_word(session, 0);
    if (unpack_array(&in) < 1) {
        unpack_fail(&in, UNPACK_WRONG_TYPE);
    }
    uint64_t revision = unpack_uint(&in);
    if (!unpack_is_fine(&in)) {
        return failure_say(EXIT_CODE_UNKNOWN, "shard reset: the answer is not understood");
    }
    if (!session->arguments->json) {
        (void)printf("shard %s starts with what its server has, map revision %" PRIu64 "\n", name,
                     revision);
        return EXIT_CODE_DONE;
    }
    struct json_writer writer = {0};
    json_writer_open(&writer, NULL, '{');
    json_writer_text(&writer, "shard", bytes_text(name));
    json_writer_number(&writer, "map_revision", revision);
    json_writer_close(&writer, '}');
    return json_writer_print(&writer);
}

enum exit_code shard_reset(struct session *session)
{
    struct buffer params = {0};
    struct skv_record record = {0};
    if (!session->arguments->accept_loss) {
        return session_say_usage(
            session,
            "what shard %s had and is not at its server is given up; say so with --accept-loss",
            session_word(session, 0));
    }
    pack_array(&params, 2);
    pack_text(&params, session_word(session, 0));
    pack_map(&params, 1);
    pack_text(&params, "accept_loss");
    pack_bool(&params, true);
    enum exit_code code = params.failed ? failure_say_no_memory()
                                        : session_ask_bootstrapd(session, "shard.reset",
                                                                 buffer_bytes(&params), &record);
    if (code == EXIT_CODE_DONE) {
        code = output_finish_change(print_reset(session, session_bytes(record.encoded)),
                                    "the shard was reset");
    }
    skv_record_fini(&record);
    buffer_fini(&params);
    return code;
}
