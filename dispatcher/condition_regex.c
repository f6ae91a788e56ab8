/*
 * Regular expressions that always end. A match limit of PCRE2 is per starting position, so it
 * alone does not bound a long text; here a callout before each item of the pattern counts the
 * steps of the whole search, and ends it.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <errno.h>
#include <pcre2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dispatcher/condition_impl.h"

enum { HEAP_KIB = 1024, DEPTH = 10000, STOPPED = -1000 };

struct regex {
    pcre2_code *code;
};

static int refuse(char *ret_reason, size_t reason_size, int code, PCRE2_SIZE at)
{
    PCRE2_UCHAR text[160];
    (void)pcre2_get_error_message(code, text, sizeof(text));
    (void)snprintf(ret_reason, reason_size, "the regular expression is wrong at its byte %zu: %s",
                   (size_t)at, (const char *)text);
    return code == PCRE2_ERROR_HEAP_FAILED ? -ENOMEM : -EINVAL;
}

static int check_pattern(const char *pattern, size_t len, char *ret_reason, size_t reason_size)
{
    if (len > CONDITION_MAX_REGEX) {
        (void)snprintf(ret_reason, reason_size, "the regular expression is longer than %d bytes",
                       CONDITION_MAX_REGEX);
        return -EINVAL;
    }
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)pattern[i] < 0x20) {
            (void)snprintf(ret_reason, reason_size,
                           "the regular expression holds a control character at its byte %zu", i);
            return -EINVAL;
        }
    }
    return 0;
}

int regex_compile(const char *pattern, size_t len, struct regex **ret_regex, char *ret_reason,
                  size_t reason_size)
{
    const uint32_t options = PCRE2_UTF | PCRE2_AUTO_CALLOUT | PCRE2_NEVER_BACKSLASH_C;
    int code = 0;
    PCRE2_SIZE at = 0;
    int r = check_pattern(pattern, len, ret_reason, reason_size);
    if (r < 0) {
        return r;
    }
    struct regex *regex = calloc(1, sizeof(*regex));
    if (!regex) {
        return -ENOMEM;
    }
    regex->code = pcre2_compile((PCRE2_SPTR)pattern, len, options, &code, &at, NULL);
    if (!regex->code) {
        free(regex);
        return refuse(ret_reason, reason_size, code, at);
    }
    *ret_regex = regex;
    return 0;
}

void regex_free(struct regex *regex)
{
    if (regex) {
        pcre2_code_free(regex->code);
        free(regex);
    }
}

static int count_step(pcre2_callout_block *block, void *context)
{
    unsigned *steps = context;
    (void)block;
    return ++*steps > CONDITION_REGEX_STEPS ? STOPPED : 0;
}

static int search(const struct regex *regex, const char *text, size_t len, unsigned *steps)
{
    int r = PCRE2_ERROR_NOMEMORY;
    pcre2_match_context *context = pcre2_match_context_create(NULL);
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    if (context && data) {
        (void)pcre2_set_callout(context, count_step, steps);
        (void)pcre2_set_match_limit(context, CONDITION_REGEX_STEPS);
        (void)pcre2_set_depth_limit(context, DEPTH);
        (void)pcre2_set_heap_limit(context, HEAP_KIB);
        r = pcre2_match(regex->code, (PCRE2_SPTR)text, len, 0, PCRE2_NO_JIT, data, context);
    }
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    return r;
}

int regex_find(const struct regex *regex, const char *text, size_t len, bool *ret_found,
               char *ret_reason, size_t reason_size)
{
    unsigned steps = 0;
    if (len > CONDITION_REGEX_TEXT) {
        (void)snprintf(ret_reason, reason_size,
                       "$regex looks at %d bytes at most, and this text is longer",
                       CONDITION_REGEX_TEXT);
        return -EBADMSG;
    }
    int r = search(regex, text, len, &steps);
    if (r >= 0 || r == PCRE2_ERROR_NOMATCH) {
        *ret_found = r >= 0;
        return 0;
    }
    if (r == PCRE2_ERROR_NOMEMORY) {
        return -ENOMEM;
    }
    (void)snprintf(ret_reason, reason_size, "the regular expression takes too long on this text");
    return -EBADMSG;
}
