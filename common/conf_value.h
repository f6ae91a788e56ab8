/*
 * One value of a setting: from the user's text to the field and back. Part of conf; only
 * conf*.c include it.
 */
#ifndef MIH_COMMON_CONF_VALUE_H
#define MIH_COMMON_CONF_VALUE_H

#include "common/buf.h"
#include "common/conf.h"

/* Sets the field of the setting from text (which is trimmed already), freeing what was there.
 * 0; -EINVAL with what is accepted in ret_accepted; -ENOMEM. */
int conf_value_set(const struct conf_setting *s, void *settings, const char *text,
                   char *ret_accepted, size_t size) __attribute__((warn_unused_result));

/* Appends what the setting accepts, in words: "0 to 512", "auto, require, off". */
void conf_value_accepted(const struct conf_setting *s, struct buf *out);

/* Appends the value as the user would write it; secrets, and the passwords of URLs, as "***". */
void conf_value_print(const struct conf_setting *s, const void *settings, struct buf *out);

/* True when an error message may not repeat the value. */
bool conf_value_is_secret(const struct conf_setting *s);
/* Whether its field is a text (char *). */
bool conf_value_is_text(const struct conf_setting *s);

#endif
