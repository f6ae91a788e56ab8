/* The id of a message as the store of delivered pairs reads it: one text for each id, and no other
 * text is taken for it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dispatcher/seen.h"
#include "tests/fuzz/fuzz.h"

static void id_check(const char *text, struct seen_id *ret_id)
{
    char again[37];

    seen_id_parse(text, ret_id);
    if (!ret_id->valid)
        return;
    snprintf(again, sizeof again,
             "%08" PRIx64 "-%04" PRIx64 "-%04" PRIx64 "-%04" PRIx64 "-%012" PRIx64,
             ret_id->high >> 32, ret_id->high >> 16 & 0xffff, ret_id->high & 0xffff,
             ret_id->low >> 48, ret_id->low & UINT64_C(0xffffffffffff));
    PROPERTY(strcmp(text, again) == 0, "%s was read as %s", text, again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fields f;
    struct seen_id one, other;
    struct seen_key one_key, other_key;

    fields_cut(&f, 2, data, size);
    id_check(f.text[0], &one);
    id_check(f.text[1], &other);
    seen_key_make(&one, 7, &one_key);
    seen_key_make(&other, 7, &other_key);
    PROPERTY((one_key.word[1] != 0) == one.valid, "%s", f.text[0]);
    if (one.valid && other.valid)
        PROPERTY((memcmp(&one_key, &other_key, sizeof one_key) == 0) ==
                     (strcmp(f.text[0], f.text[1]) == 0),
                 "%s and %s", f.text[0], f.text[1]);
    fields_release(&f);
    return 0;
}
