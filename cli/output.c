/* SPDX-License-Identifier: MIT */
#include "cli/output.h"

#include <errno.h>
#include <stdio.h>
#include <stdio_ext.h>

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

/* Why not all of the data could be written; NULL when it was. */
static const char *write_all(void)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout)) {
        return NULL;
    }
    /* What failed first, while the buffer was emptied on the way, has left no errno. */
    return errno ? strerror(errno) : "an earlier write failed";
}

enum exit_code output_finish_change(enum exit_code code, const char *done)
{
    const char *reason = write_all();
    if ((code == EXIT_CODE_DONE && !reason) || code == EXIT_CODE_UNKNOWN) {
        return code;
    }
    /* It is said here: output_finish is to find nothing more. */
    __fpurge(stdout);
    clearerr(stdout);
    return failure_say(EXIT_CODE_UNKNOWN, "cannot write standard output: %s; but %s",
                       reason ? reason : "out of memory", done);
}

enum exit_code output_finish(enum exit_code code)
{
    const char *reason = write_all();
    if (!reason || code == EXIT_CODE_UNAVAILABLE) {
        return code;
    }
    return failure_worst(
        code, failure_say(EXIT_CODE_UNAVAILABLE, "cannot write standard output: %s", reason));
}
