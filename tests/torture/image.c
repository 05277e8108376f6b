/* SPDX-License-Identifier: MIT */
#include "tests/torture/image.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/memory.h"

static const uint8_t zeros[IMAGE_CHUNK_LEN];

void image_fini(struct image *image)
{
    for (uint32_t i = 0; i < image->chunk_count; i++) {
        free(image->chunks[i]);
    }
    free(image->chunks);
    *image = (struct image){0};
}

static void reserve(struct image *image, uint64_t len)
{
    uint32_t wanted = (uint32_t)((len + IMAGE_CHUNK_LEN - 1) / IMAGE_CHUNK_LEN);
    if (wanted > image->chunk_count) {
        image->chunks = memory_resize(image->chunks, wanted, sizeof(*image->chunks));
        for (uint32_t i = image->chunk_count; i < wanted; i++) {
            image->chunks[i] = NULL;
        }
        image->chunk_count = wanted;
    }
}

static void write_chunk(struct image *image, uint64_t offset, const uint8_t *data, size_t len)
{
    uint8_t **chunk = &image->chunks[offset / IMAGE_CHUNK_LEN];
    if (!*chunk && memcmp(data, zeros, len) == 0) {
        return;
    }
    if (!*chunk) {
        *chunk = memory_get(1, IMAGE_CHUNK_LEN);
    }
    memcpy(*chunk + offset % IMAGE_CHUNK_LEN, data, len);
}

void image_write(struct image *image, uint64_t offset, struct bytes data)
{
    const uint8_t *next = data.data;
    uint64_t end = offset + data.len;
    reserve(image, end);
    image->len = end > image->len ? end : image->len;
    while (offset < end) {
        uint64_t room = IMAGE_CHUNK_LEN - offset % IMAGE_CHUNK_LEN;
        uint64_t len = end - offset < room ? end - offset : room;
        write_chunk(image, offset, next, len);
        offset += len;
        next += len;
    }
}

void image_set_len(struct image *image, uint64_t len)
{
    if (len < image->len) {
        uint64_t chunk_end = (len + IMAGE_CHUNK_LEN - 1) / IMAGE_CHUNK_LEN;
        for (uint64_t i = chunk_end; i < image->chunk_count; i++) {
            free(image->chunks[i]);
            image->chunks[i] = NULL;
        }
        if (len % IMAGE_CHUNK_LEN) {
            uint64_t rest = IMAGE_CHUNK_LEN - len % IMAGE_CHUNK_LEN;
            write_chunk(image, len, zeros, rest);
        }
    }
    reserve(image, len);
    image->len = len;
}

void image_copy(const struct image *from, struct image *to)
{
    *to = (struct image){.len = from->len};
    reserve(to, from->len);
    for (uint32_t i = 0; i < to->chunk_count; i++) {
        if (from->chunks[i]) {
            to->chunks[i] = memory_get(1, IMAGE_CHUNK_LEN);
            memcpy(to->chunks[i], from->chunks[i], IMAGE_CHUNK_LEN);
        }
    }
}

void image_save(const struct image *image, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool is_fine = fd >= 0 && ftruncate(fd, (off_t)image->len) == 0;
    for (uint32_t i = 0; i < image->chunk_count && is_fine; i++) {
        uint64_t offset = (uint64_t)i * IMAGE_CHUNK_LEN;
        uint64_t left = image->len - offset;
        size_t len = left < IMAGE_CHUNK_LEN ? left : IMAGE_CHUNK_LEN;
        if (offset < image->len && image->chunks[i]) {
            is_fine = pwrite(fd, image->chunks[i], len, (off_t)offset) == (ssize_t)len;
        }
    }
    if (!is_fine) {
        perror(path);
        abort();
    }
    close(fd);
}
