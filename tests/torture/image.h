/* SPDX-License-Identifier: MIT */
#ifndef TORTURE_IMAGE_H
#define TORTURE_IMAGE_H

/* The bytes of a file in chunks; those that hold only zeros take no memory and no time. */

#include <stdint.h>

#include "proto/bytes.h"

#define IMAGE_CHUNK_LEN (64u << 10)

struct image {
    uint8_t **chunks; /* NULL: zeros */
    uint32_t chunk_count;
    uint64_t len;
};

void image_fini(struct image *image);

/* Lengthens the file if need be. */
void image_write(struct image *image, uint64_t offset, struct bytes data);

/* What is behind is dropped; what is added is zeros. */
void image_set_len(struct image *image, uint64_t len);

void image_copy(const struct image *from, struct image *to);

/* The file must not exist. Ends the process when it cannot be written. */
void image_save(const struct image *image, const char *path);

#endif
