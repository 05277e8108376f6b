/* SPDX-License-Identifier: MIT */
#include "cli/bench_redis_cluster.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/bench_driver.h"
#include "cli/bench_io.h"

#define ANSWER_MS 10000
#define READ_LEN  4096

#define SLOT_COUNT 16384u
#define SLOT_SHIFT 18

/* Columns of CLUSTER NODES that come before the slots. */
#define SLOTS_COLUMN 8

static bool await(int fd, short events)
{
    struct pollfd wait = {.fd = fd, .events = events};
    return poll(&wait, 1, ANSWER_MS) == 1;
}

/* The bytes between the head of a bulk and its end, or behind the type's byte of a line. */
static struct bytes text_of(struct bytes reply)
{
    const char *text = reply.data;
    const char *end = memchr(text, '\n', reply.len);
    size_t head_len = *text == '$' && end ? (size_t)(end - text) + 1 : 1;
    return bytes_of(text + head_len, reply.len < head_len + 2 ? 0 : reply.len - head_len - 2);
}

/* Reads until the reply is whole. */
static const char *take_reply(int fd, const struct bench_driver *driver, struct buffer *input,
                              struct buffer *answer, char error[256])
{
    struct bench_reply reply = {0};
    enum bench_decoded decoded = BENCH_DECODED_PARTIAL;
    while (decoded == BENCH_DECODED_PARTIAL) {
        uint8_t *to = buffer_reserve(input, READ_LEN);
        ssize_t len = to && await(fd, POLLIN) ? read(fd, to, READ_LEN) : 0;
        if (len <= 0) {
            return "no answer";
        }
        input->len += (size_t)len;
        decoded = bench_driver_decode(driver, buffer_bytes(input), &reply);
    }
    if (decoded == BENCH_DECODED_BROKEN || reply.is_error) {
        (void)snprintf(error, 256, "%.*s", (int)(reply.error.len > 200 ? 200 : reply.error.len),
                       (const char *)reply.error.data);
        return error;
    }
    buffer_append_bytes(answer, text_of(bytes_of(input->data, reply.len)));
    return answer->failed ? "out of memory" : NULL;
}

static const char *ask_on(int fd, const char *command, struct buffer *answer, char error[256])
{
    struct bench_driver driver;
    struct buffer output = {0}, input = {0};
    const char *problem = "cannot ask";
    size_t sent = 0;
    bool is_made = bench_redis_init(&driver, 1);
    buffer_append_bytes(&output, bytes_text(command));
    buffer_append(&output, "\r\n", 2);
    if (is_made && !output.failed && bench_send(fd, &output, &sent)) {
        problem = take_reply(fd, &driver, &input, answer, error);
    }
    bench_driver_fini(&driver);
    buffer_fini(&output);
    buffer_fini(&input);
    return problem;
}

static const char *ask(const struct address *address, const char *command, struct buffer *answer,
                       char error[256])
{
    const char *problem = NULL;
    int fd = bench_connect(address, &problem);
    if (fd >= 0) {
        problem = ask_on(fd, command, answer, error);
        close(fd);
    }
    return problem;
}

bool bench_redis_ask(const struct address *address, const char *command, struct buffer *answer,
                     char error[256])
{
    char what[256] = "";
    const char *problem = ask(address, command, answer, what);
    if (problem) {
        char text[ADDRESS_TEXT_LEN];
        address_print(address, text);
        (void)snprintf(error, 256, "%.80s: %.30s: %.100s", text, command, problem);
    }
    return problem == NULL;
}

/* "0-5460" or "5461"; what is in brackets is on its way, and still where it was. */
static bool take_slots(const char *word, struct bench_route *route, uint32_t server)
{
    char *end = NULL;
    if (*word == '[') {
        return true;
    }
    unsigned long first = strtoul(word, &end, 10);
    unsigned long last = *end == '-' ? strtoul(end + 1, &end, 10) : first;
    if (*end || first > last || last >= SLOT_COUNT) {
        return false;
    }
    return bench_route_set(route, (uint64_t)first << SLOT_SHIFT, (uint64_t)(last + 1) << SLOT_SHIFT,
                           server, 0);
}

static bool take_node(char *line, struct bench_route *route)
{
    struct address address;
    char *rest = NULL;
    uint32_t server = UINT32_MAX;
    unsigned column = 0;
    for (char *word = strtok_r(line, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        if (column == 1 && !address_parse(bytes_of(word, strcspn(word, "@")), &address)) {
            return false;
        }
        if (column == 2 && !strstr(word, "master")) {
            return true;
        }
        if (column == 2) {
            server = bench_route_server(route, &address);
        }
        if (column >= SLOTS_COLUMN && !take_slots(word, route, server)) {
            return false;
        }
        column++;
    }
    return column >= SLOTS_COLUMN && server != UINT32_MAX;
}

bool bench_redis_take_nodes(struct bytes text, struct bench_route *route)
{
    char *copy = strndup(text.data, text.len);
    char *rest = NULL;
    bool is_fine = copy;
    if (copy) {
        for (char *line = strtok_r(copy, "\r\n", &rest); line && is_fine;
             line = strtok_r(NULL, "\r\n", &rest)) {
            is_fine = take_node(line, route);
        }
    }
    free(copy);
    return is_fine;
}
