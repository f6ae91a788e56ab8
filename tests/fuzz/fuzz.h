/*
 * What the fuzz targets share.
 *
 * An input is taken for fields with a NUL byte between them, so that several texts fit into one
 * and libFuzzer may still cut and join them. Every field is a block of its own on the heap: the
 * address sanitizer sees each byte that is read past its end. A property that does not hold ends
 * the program, and libFuzzer keeps the input.
 */
#ifndef MIH_TESTS_FUZZ_H
#define MIH_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/buf.h"

struct json_object;

/* libFuzzer's entry point; every target has one. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PROPERTY(condition, ...)                                                                   \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fuzz_tell(#condition, __VA_ARGS__);                                                    \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

void fuzz_tell(const char *condition, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

enum { FUZZ_FIELDS = 10 };

struct fields {
    char
        *text[FUZZ_FIELDS]; /* NUL-terminated; "" for what is missing; the last one may hold NULs */
    size_t len[FUZZ_FIELDS];
};

/* Cuts the input into n fields. */
void fields_cut(struct fields *f, size_t n, const uint8_t *data, size_t size);
void fields_release(struct fields *f);

/* The field, or NULL when it is "\1", which stands for SQL's NULL. */
const char *field_or_null(const struct fields *f, size_t i);

/* True when every byte of text is ASCII and none below the space. */
bool is_plain(const char *text, size_t len);

/* A reason is there, ends within its room, is UTF-8 without control bytes, and is not what was
 * there before: reason_clear() puts that. */
void reason_clear(char *reason, size_t size);
void reason_check(const char *reason, size_t size);

/* Fails the target when the text is no JSON. A key may hold \u0000, which JSON allows: only what
 * comes in is refused for it. */
void json_check(const char *text, size_t len);

/* The text of a JSON value that jsontext_check() accepts, as a tree. Fails the target when json-c
 * does not take it. */
struct json_object *json_of(const char *text, size_t len);

/* The text with everything inside of strings left out: {"":[,""]}. What data may change is not
 * in it. */
void add_skeleton(struct buf *out, const char *text);

#endif
