/* Histories of dead letters: whatever a header holds, what is kept is short, valid and whole lines,
 * and stays so when a death is added. */
#include <string.h>

#include "common/utf8.h"
#include "dispatcher/history.h"
#include "tests/fuzz/fuzz.h"

static void check(const char *text)
{
    size_t len = strlen(text);

    PROPERTY(len <= HISTORY_MAX, "%zu bytes", len);
    PROPERTY(utf8_invalid_at(text, len) == len, "not UTF-8");
    PROPERTY(len == 0 || (text[len - 1] == '\n' && text[0] != '\n'), "no whole lines");
    PROPERTY(!strstr(text, "\n\n"), "an empty line");
    for (size_t i = 0; i < len; i++)
        PROPERTY((unsigned char)text[i] >= 0x20 || text[i] == '\n', "a control byte");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fields f;
    char text[HISTORY_SIZE];
    char again[HISTORY_SIZE];

    fields_cut(&f, 2, data, size);
    history_copy(text, f.text[1], f.len[1]);
    check(text);
    history_copy(again, text, strlen(text));
    PROPERTY(strcmp(again, text) == 0, "a copy of the copy differs");
    history_add(text, &(struct history_death){.died_s = (int64_t)size * 1000000007,
                                              .attempts = 3,
                                              .status = 503,
                                              .reason = f.text[0]});
    check(text);
    fields_release(&f);
    return 0;
}
