/* SPDX-License-Identifier: MIT */
#include "cli/output.h"

#include <errno.h>
#include <stdio.h>

void output_bytes(struct bytes bytes)
{
    if (bytes.len) {
        (void)fwrite(bytes.data, 1, bytes.len, stdout);
    }
}

enum exit_code output_print(struct buffer *text)
{
    bool has_memory = !text->failed;
    if (has_memory) {
        output_bytes(buffer_bytes(text));
    }
    buffer_fini(text);
    *text = (struct buffer){0};
    return has_memory ? EXIT_CODE_DONE : failure_say_no_memory();
}

enum exit_code output_finish(enum exit_code code)
{
    errno = 0;
    bool is_written = fflush(stdout) == 0 && !ferror(stdout);
    if (is_written || code == EXIT_CODE_UNAVAILABLE) {
        return code;
    }
    /* What failed first, while the buffer was emptied on the way, has left no errno. */
    return failure_worst(code,
                         failure_say(EXIT_CODE_UNAVAILABLE, "cannot write standard output: %s",
                                     errno ? strerror(errno) : "an earlier write failed"));
}
