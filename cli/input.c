/* SPDX-License-Identifier: MIT */
#include "cli/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* One read: large enough that system calls do not count, small enough to show progress. */
#define READ_LEN (256u << 10)

struct input {
    int descriptor;
    struct buffer pending; /* read and not yet given out, behind `start` */
    size_t start;
    uint64_t taken_bytes;
};

struct input *input_open(const char *path)
{
    int descriptor =
        strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (descriptor < 0) {
        return NULL;
    }
    struct input *input = calloc(1, sizeof(*input));
    if (!input) {
        if (descriptor != STDIN_FILENO) {
            (void)close(descriptor);
        }
        errno = ENOMEM;
        return NULL;
    }
    input->descriptor = descriptor;
    return input;
}

void input_close(struct input *input)
{
    if (!input) {
        return;
    }
    if (input->descriptor != STDIN_FILENO) {
        (void)close(input->descriptor);
    }
    buffer_fini(&input->pending);
    free(input);
}

uint64_t input_total_bytes(const struct input *input)
{
    struct stat status;
    if (fstat(input->descriptor, &status) || !S_ISREG(status.st_mode)) {
        return 0;
    }
    return (uint64_t)status.st_size;
}

uint64_t input_taken_bytes(const struct input *input)
{
    return input->taken_bytes;
}

/* Appends one read to `buffer`. INPUT_END at the end of the file. */
static enum input_result fill(struct input *input, struct buffer *buffer)
{
    uint8_t *room = buffer_reserve(buffer, READ_LEN);
    ssize_t len;
    if (!room) {
        errno = ENOMEM;
        return INPUT_FAILED;
    }
    do {
        len = read(input->descriptor, room, READ_LEN);
    } while (len < 0 && errno == EINTR);
    if (len < 0) {
        return INPUT_FAILED;
    }
    buffer->len += (size_t)len;
    return len > 0 ? INPUT_DONE : INPUT_END;
}

/* Gives out `len` bytes and steps over them and `skip` more. */
static struct bytes give(struct input *input, size_t len, size_t skip)
{
    struct bytes line = bytes_of(input->pending.data + input->start, len);
    input->start += len + skip;
    input->taken_bytes += len + skip;
    return line;
}

enum input_result input_next_line(struct input *input, size_t len_max, struct bytes *line)
{
    size_t scanned = 0;
    bool is_too_long = false;
    for (;;) {
        size_t len = input->pending.len - input->start;
        const uint8_t *begin = len ? input->pending.data + input->start : NULL;
        const uint8_t *newline =
            len > scanned ? memchr(begin + scanned, '\n', len - scanned) : NULL;
        if (newline) {
            *line = give(input, (size_t)(newline - begin), 1);
            return is_too_long || line->len > len_max ? INPUT_TOO_LONG : INPUT_DONE;
        }
        if (len > len_max) {
            is_too_long = true;
            (void)give(input, len, 0);
        }
        buffer_consume(&input->pending, input->start);
        input->start = 0;
        scanned = input->pending.len;
        enum input_result result = fill(input, &input->pending);
        if (result == INPUT_END && (scanned > 0 || is_too_long)) {
            *line = give(input, scanned, 0);
            return is_too_long ? INPUT_TOO_LONG : INPUT_DONE;
        }
        if (result != INPUT_DONE) {
            return result;
        }
    }
}

enum input_result input_read_all(struct input *input, size_t len_max, struct buffer *content)
{
    enum input_result result = INPUT_DONE;
    while (result == INPUT_DONE) {
        result = content->len > len_max ? INPUT_TOO_LONG : fill(input, content);
    }
    return result == INPUT_END ? INPUT_DONE : result;
}
