/*
 * What the files of the condition module share, and nobody else includes.
 *
 * A compiled condition is a tree of tests; what a test compares with is owned by it.
 */
#ifndef MIH_DISPATCHER_CONDITION_IMPL_H
#define MIH_DISPATCHER_CONDITION_IMPL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/jsonview.h"
#include "dispatcher/condition.h"
#include "dispatcher/path.h"

struct regex;

enum test_kind {
    TEST_AND,
    TEST_OR,
    TEST_NOT,
    TEST_EQ,
    TEST_NEQ,
    TEST_IN,
    TEST_NIN,
    TEST_GT,
    TEST_GTE,
    TEST_LT,
    TEST_LTE,
    TEST_STARTS_WITH,
    TEST_ENDS_WITH,
    TEST_EXIST,
    TEST_REGEX,
};

struct operand {
    enum jsonview_type type; /* no containers */
    bool is_number;          /* a number, or a text that is one */
    char *text;              /* of a text decoded; of a number as it is written */
    size_t len;
};

struct test {
    enum test_kind kind;
    size_t source_at;      /* of the operator, or of the value that stands for it */
    struct test *children; /* of $and, $or and $not */
    size_t n_children;
    struct path path; /* of the others */
    struct operand *operands;
    size_t n_operands;
    struct regex *regex;
};

struct condition {
    char *source; /* for the line and column of faults at matching */
    struct test root;
    unsigned needs;
};

/* 0; -EINVAL with what is wrong, without place; -ENOMEM. */
int regex_compile(const char *pattern, size_t len, struct regex **ret_regex, char *ret_reason,
                  size_t reason_size) __attribute__((warn_unused_result));
void regex_free(struct regex *regex);

/* 0 and whether it finds something; -EBADMSG with what is wrong, without place; -ENOMEM. */
int regex_find(const struct regex *regex, const char *text, size_t len, bool *ret_found,
               char *ret_reason, size_t reason_size) __attribute__((warn_unused_result));

#endif
