/*
 * A rule's filter: a JSON condition over an event and what is looked up for it (path.h). Compiled
 * once, when the rules are read.
 *
 *   {"courseid": {"$in": [2, 3]}, "other": {"finalgrade": {"$gte": 50}}, "user.lang": "fr"}
 *
 * An object holds conditions that must all be true. Its keys are paths, also nested ones, or
 * operators, which are about the path around them. A value in place of operators is $eq.
 *
 *   $eq $neq                 equal to a text, number, true, false or null, or not
 *   $in $nin                 equal to one of a list, or to none
 *   $gt $gte $lt $lte        greater or less than a number or text
 *   $startsWith $endsWith    of a text, byte by byte
 *   $regex                   a regular expression of PCRE2 finds something in a text
 *   $exist                   true: it is there and not null; false: it is not
 *   $and $or                 of a list of conditions, with or without a path around them
 *   $not                     of one condition
 *
 * What is missing is null, as in templates. Moodle gives numbers now as 9, now as "9": a number
 * equals a text that is that number, whichever of the two is in the condition, and numbers are
 * compared exactly, as they are written (9 is 9.0 and "9.00000"). Two texts are equal only when
 * all their bytes are. For an order, texts that are numbers count as numbers on both sides; two
 * other texts are in the order of their bytes (which suits ISO dates); a number and another text,
 * null, true, false, objects and lists are in no order, and the answer is no. $startsWith,
 * $endsWith and $regex look at texts and at the spelling of numbers; for all else they are false.
 *
 * Regular expressions are PCRE2 because PHP has the same, so that the plugin can check them, and
 * because it can be bounded: no JIT, so many steps over the whole text and no more, texts of at
 * most 4096 bytes. What exceeds that is an error, not a no.
 *
 * Pure: no clock, no I/O.
 */
#ifndef MIH_DISPATCHER_CONDITION_H
#define MIH_DISPATCHER_CONDITION_H

#include <stdbool.h>
#include <stddef.h>

struct condition;
struct path_source;

enum {
    CONDITION_MAX_SOURCE = 64 * 1024, /* bytes */
    CONDITION_MAX_DEPTH = 32,         /* nested objects and lists */
    CONDITION_MAX_TESTS = 256,
    CONDITION_MAX_VALUES = 1000,    /* of one $in */
    CONDITION_MAX_REGEX = 1024,     /* bytes of a pattern */
    CONDITION_REGEX_TEXT = 4096,    /* bytes of a text that a $regex looks at */
    CONDITION_REGEX_STEPS = 100000, /* of one $regex on one text */
};

/* NULL, white space and {}: no condition, and *ret_condition is NULL. 0; -EINVAL with a reason that
 * names line, column (both from 1, in characters) and what was expected; -ENOMEM. */
int condition_compile(const char *source, struct condition **ret_condition, char *ret_reason,
                      size_t reason_size) __attribute__((warn_unused_result));
void condition_free(struct condition *c); /* NULL is allowed */

/* The mask of roots (enrichment.h) that must have been looked up. */
unsigned condition_needs(const struct condition *c);

/* 0 and whether the event is wanted; -EBADMSG with a reason that names line, column and path (never
 * the value) when a regular expression takes too long or its text is too long; -ENOMEM. */
int condition_match(const struct condition *c, const struct path_source *source, bool *ret_wanted,
                    char *ret_reason, size_t reason_size) __attribute__((warn_unused_result));

#endif
