/*
 * A view of JSON text: one pass checks it (as strictly as jsontext_check()) and notes where its
 * values are. Nothing is copied or converted until it is asked for; most events are looked at
 * in a few places only, and a tree of objects would cost more than all the rest of a delivery.
 *
 * The nodes lie in one array in the order of the text: an object is followed by key, value, key,
 * value; an array by its values. Each knows where what belongs to it ends. The keys of the
 * outermost object, when it is of ordinary size, are found through a small index. The text is
 * borrowed and must stay as it is. A view is used again and again: parsing keeps its memory, and
 * jsonview_reset() gives back what an unusually large text took.
 */
#ifndef MIH_COMMON_JSONVIEW_H
#define MIH_COMMON_JSONVIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/buf.h"

struct json_object;

enum jsonview_type {
    JSONVIEW_NULL,
    JSONVIEW_FALSE,
    JSONVIEW_TRUE,
    JSONVIEW_NUMBER,
    JSONVIEW_STRING,
    JSONVIEW_ARRAY,
    JSONVIEW_OBJECT,
};

struct jsonview_node {
    uint32_t at;   /* first byte in the text; of a string: behind its quote */
    uint32_t len;  /* bytes in the text; of a string: without its quotes */
    uint32_t end;  /* number of the first node that does not belong to this one */
    uint8_t type;  /* enum jsonview_type */
    bool escaped;  /* a string with backslashes: decode it */
    uint16_t hint; /* of a string: jsonview_hint() of its bytes */
};

/* Equal strings have equal hints: most keys are told apart without a look at their text. */
static inline uint16_t jsonview_hint(const void *text, size_t len)
{
    const unsigned char *bytes = text;
    return (uint16_t)(len << 8 | (len ? bytes[len - 1] : 0U));
}

enum { JSONVIEW_INDEX = 64 };

/* Zeroed before its first use. */
struct jsonview {
    const char *text;
    struct jsonview_node *nodes; /* owned */
    size_t n, cap;
    bool indexed;                  /* the whole value is an object, and index holds its keys */
    uint8_t index[JSONVIEW_INDEX]; /* nodes of keys, by hint; 0: none */
};

/* 0; -EBADMSG with the reason and the byte, as jsontext_check(); -ENOMEM. Texts of 4 GiB and
 * more are -EBADMSG. After a failure the view is empty. */
int jsonview_parse(struct jsonview *v, const char *text, size_t len, unsigned max_depth,
                   char *ret_reason, size_t reason_size) __attribute__((warn_unused_result));

/* What is wrong with a text, and the byte it was found at. */
struct jsontext_fault {
    const char *what;
    size_t at;
};

/* The same, with the reason in two parts. */
int jsonview_parse_at(struct jsonview *v, const char *text, size_t len, unsigned max_depth,
                      struct jsontext_fault *ret_fault) __attribute__((warn_unused_result));

/* For jsontext_check.c, when all nodes are there. */
void jsonview_make_index(struct jsonview *v);

/* Empties the view; keeps memory for the next text unless it is large. */
void jsonview_reset(struct jsonview *v);
void jsonview_release(struct jsonview *v);

/* The whole value; NULL for an empty view. */
const struct jsonview_node *jsonview_root(const struct jsonview *v);

/* The value of an object's key, of the last one when the key stands twice; NULL when there is
 * none, or the node is no object. O(members), or O(1) by the index. */
const struct jsonview_node *jsonview_find(const struct jsonview *v,
                                          const struct jsonview_node *object, const char *key,
                                          size_t key_len);

static inline const struct jsonview_node *
jsonview_member(const struct jsonview *v, const struct jsonview_node *object, const char *key)
{
    return jsonview_find(v, object, key, strlen(key));
}

/* The element of an array; NULL when there is none, or the node is no array. O(index). */
const struct jsonview_node *jsonview_element(const struct jsonview *v,
                                             const struct jsonview_node *array, size_t index);

/* The bytes of a scalar as they stand in the text; of a string not decoded. */
const char *jsonview_bytes(const struct jsonview *v, const struct jsonview_node *node);

/* Appends what a string says, decoded. It may hold NUL. */
void jsonview_decode(const struct jsonview *v, const struct jsonview_node *string, struct buf *out);

/* Appends a value as JSON in the form of jsontext_print(); NULL is null. 0 or -ENOMEM; the
 * buffer's own error tells when it did not fit. Containers go through json-c. */
int jsonview_print(const struct jsonview *v, const struct jsonview_node *node, struct buf *out)
    __attribute__((warn_unused_result));

/* The value as a tree of json-c, which becomes the caller's; NULL node is null. 0 or -ENOMEM. */
int jsonview_tree(const struct jsonview *v, const struct jsonview_node *node,
                  struct json_object **ret_tree) __attribute__((warn_unused_result));

#endif
