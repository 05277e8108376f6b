/* SPDX-License-Identifier: MIT */
#include "proto/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <strings.h>

#define PORT_DIGITS_MAX 5

static bool parse_port(struct bytes text, uint16_t *port)
{
    const char *digits = text.data;
    uint32_t number = 0;
    if (text.len == 0 || text.len > PORT_DIGITS_MAX) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (digits[i] < '0' || digits[i] > '9') {
            return false;
        }
        number = 10 * number + (uint32_t)(digits[i] - '0');
    }
    if (number > UINT16_MAX) {
        return false;
    }
    *port = (uint16_t)number;
    return true;
}

static bool is_letter_or_digit(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* `others` are the characters allowed besides letters and digits. */
static bool is_made_of(struct bytes text, const char *others)
{
    const char *characters = text.data;
    for (size_t i = 0; i < text.len; i++) {
        char c = characters[i];
        if (!is_letter_or_digit(c) && (c == '\0' || !strchr(others, c))) {
            return false;
        }
    }
    return text.len > 0 && text.len <= HOST_LEN_MAX;
}

/* A name or an IPv4 address; in brackets an IPv6 address, perhaps with a zone (fe80::1%eth0). */
static bool parse_host(struct bytes text, struct bytes *host)
{
    const char *characters = text.data;
    bool is_bracketed = text.len >= 2 && characters[0] == '[' && characters[text.len - 1] == ']';
    if (!is_bracketed) {
        *host = text;
        return is_made_of(text, ".-_");
    }
    *host = bytes_of(characters + 1, text.len - 2);
    return is_made_of(*host, ".-_:%") && memchr(host->data, ':', host->len);
}

bool address_parse(struct bytes text, struct address *address)
{
    const char *start = text.data;
    const char *colon = text.len ? memrchr(start, ':', text.len) : NULL;
    if (!colon) {
        return false;
    }
    size_t host_len = (size_t)(colon - start);
    struct bytes host;
    uint16_t port;
    if (!parse_host(bytes_of(start, host_len), &host) ||
        !parse_port(bytes_of(colon + 1, text.len - host_len - 1), &port)) {
        return false;
    }
    *address = (struct address){.port = port};
    memcpy(address->host, host.data, host.len);
    return true;
}

void address_print(const struct address *address, char text[ADDRESS_TEXT_LEN])
{
    bool has_colon = strchr(address->host, ':') != NULL;
    (void)snprintf(text, ADDRESS_TEXT_LEN, has_colon ? "[%s]:%u" : "%s:%u", address->host,
                   (unsigned)address->port);
}

/* Names are the same in upper and lower case (RFC 1035). */
bool address_equal(const struct address *a, const struct address *b)
{
    return a->port == b->port && strcasecmp(a->host, b->host) == 0;
}

int address_compare(const struct address *a, const struct address *b)
{
    int order = strcasecmp(a->host, b->host);
    return order ? order : (a->port > b->port) - (a->port < b->port);
}

bool address_is_loopback(const struct address *address)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, address->host, &v4) == 1) {
        return ntohl(v4.s_addr) >> 24 == IN_LOOPBACKNET;
    }
    if (inet_pton(AF_INET6, address->host, &v6) == 1) {
        return IN6_IS_ADDR_LOOPBACK(&v6);
    }
    return strcasecmp(address->host, "localhost") == 0;
}
