/* SPDX-License-Identifier: MIT */
#include "proto/json_number.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Any decimal of 15 digits reads back from a normal double, and 17 tell any two doubles apart. */
#define DIGITS_SURE 15
#define DIGITS_MAX  17

/* Decimal exponents from which on a float is written with one. */
#define EXPONENT_MIN (-5)
#define EXPONENT_MAX 17

/* 0.d1d2d3... times 10^(exponent + 1); no zeros at the end. */
struct decimal {
    bool negative;
    char digits[DIGITS_MAX + 1];
    size_t digit_count;
    int exponent; /* of the first digit */
};

/* Takes printf's digits and exponent apart: the character between the digits is the locale's. */
static struct decimal decimal_of(const char *text)
{
    struct decimal decimal = {.negative = *text == '-'};
    const char *c = text;
    for (; *c != 'e'; c++) {
        if (*c >= '0' && *c <= '9') {
            decimal.digits[decimal.digit_count++] = *c;
        }
    }
    decimal.exponent = (int)strtol(c + 1, NULL, 10);
    while (decimal.digit_count > 1 && decimal.digits[decimal.digit_count - 1] == '0') {
        decimal.digit_count--;
    }
    decimal.digits[decimal.digit_count] = '\0';
    return decimal;
}

static struct decimal shortest_decimal(double value)
{
    char text[64];
    int digit_count = fabs(value) < DBL_MIN ? 1 : DIGITS_SURE;
    for (; digit_count <= DIGITS_MAX; digit_count++) {
        (void)snprintf(text, sizeof(text), "%.*e", digit_count - 1, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    return decimal_of(text);
}

void json_number_print_float(double value, struct buffer *json)
{
    struct decimal decimal = shortest_decimal(value);
    const char *digits = decimal.digits;
    const char *sign = decimal.negative ? "-" : "";
    int count = (int)decimal.digit_count;
    int exponent = decimal.exponent;
    char text[64];
    if (exponent < EXPONENT_MIN || exponent >= EXPONENT_MAX) {
        (void)snprintf(text, sizeof(text), "%s%c%s%se%d", sign, digits[0], count > 1 ? "." : "",
                       digits + 1, exponent);
    } else if (exponent < 0) {
        (void)snprintf(text, sizeof(text), "%s0.%.*s%s", sign, -exponent - 1, "0000000000", digits);
    } else if (count <= exponent + 1) {
        (void)snprintf(text, sizeof(text), "%s%s%.*s.0", sign, digits, exponent + 1 - count,
                       "0000000000000000000");
    } else {
        (void)snprintf(text, sizeof(text), "%s%.*s.%s", sign, exponent + 1, digits,
                       digits + exponent + 1);
    }
    buffer_append(json, text, strlen(text));
}

struct json_numbers json_numbers_of(struct bytes json)
{
    const char *text = json.len ? json.data : "";
    return (struct json_numbers){text, text + json.len};
}

/* Behind the closing quote; at the end if there is none. */
static void skip_string(struct json_numbers *numbers)
{
    numbers->next++;
    while (numbers->next < numbers->end && *numbers->next != '"') {
        bool is_escape = *numbers->next == '\\' && numbers->end - numbers->next > 1;
        numbers->next += is_escape ? 2 : 1;
    }
    if (numbers->next < numbers->end) {
        numbers->next++;
    }
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_number_part(char c)
{
    return is_digit(c) || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

bool json_numbers_next(struct json_numbers *numbers, struct bytes *literal)
{
    while (numbers->next < numbers->end) {
        char c = *numbers->next;
        if (c == '-' || is_digit(c)) {
            const char *start = numbers->next;
            while (numbers->next < numbers->end && is_number_part(*numbers->next)) {
                numbers->next++;
            }
            *literal = bytes_of(start, (size_t)(numbers->next - start));
            return true;
        }
        if (c == '"') {
            skip_string(numbers);
        } else {
            numbers->next++;
        }
    }
    return false;
}

enum json_number_kind json_number_classify(struct bytes literal, uint64_t *value)
{
    const char *text = literal.data;
    bool negative = text[0] == '-';
    uint64_t magnitude = 0;
    bool over = false;
    if (literal.len > negative && text[negative] == '0') {
        return JSON_NUMBER_PLAIN; /* 0, or no number at all, which jansson says */
    }
    for (size_t i = negative; i < literal.len; i++) {
        if (!is_digit(text[i])) {
            return JSON_NUMBER_PLAIN;
        }
        over = over || __builtin_mul_overflow(magnitude, 10u, &magnitude) ||
               __builtin_add_overflow(magnitude, (uint64_t)(text[i] - '0'), &magnitude);
    }
    if (over || (negative && magnitude > (uint64_t)INT64_MAX + 1)) {
        return JSON_NUMBER_OVER;
    }
    if (negative || magnitude <= INT64_MAX) {
        return JSON_NUMBER_PLAIN;
    }
    *value = magnitude;
    return JSON_NUMBER_LARGE;
}
