/* SPDX-License-Identifier: MIT */
#include "cli/operand.h"

#include <errno.h>

#include "cli/input.h"
#include "cli/record_line.h"
#include "proto/limits.h"

static enum exit_code take_stdin(const struct session *session, struct buffer *text)
{
    struct input *input = input_open("-");
    enum input_result result =
        input ? input_read_all(input, RECORD_LINE_LEN_MAX, text) : INPUT_FAILED;
    int error_number = errno;
    input_close(input);
    if (result == INPUT_TOO_LONG) {
        return failure_say(EXIT_CODE_USAGE,
                           "%s: standard input is too long; a value has at most %u bytes",
                           session->command, VALUE_LEN_MAX);
    }
    return result == INPUT_DONE ? EXIT_CODE_DONE
                                : failure_say(EXIT_CODE_USAGE, "%s: cannot read standard input: %s",
                                              session->command, strerror(error_number));
}

enum exit_code operand_text(const struct session *session, unsigned index, struct buffer *memory,
                            struct bytes *text)
{
    const char *word = session_word(session, index);
    *text = bytes_text(word);
    if (strcmp(word, "-") != 0) {
        return EXIT_CODE_DONE;
    }
    enum exit_code code = take_stdin(session, memory);
    *text = buffer_bytes(memory);
    return code;
}
