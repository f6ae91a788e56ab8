/* Conditions: they end with a verdict or a reason, and $not turns every verdict round. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/jsontext.h"
#include "common/jsonview.h"
#include "dispatcher/condition.h"
#include "dispatcher/decimal.h"
#include "dispatcher/path.h"
#include "tests/fuzz/fuzz.h"

/* 1 or 0; negative: no condition, or it cannot tell. */
static int verdict(const char *source, const struct path_source *from)
{
    struct condition *c = NULL;
    char reason[700];
    bool wanted = false;

    reason_clear(reason, sizeof reason);
    int r = condition_compile(source, &c, reason, sizeof reason);
    PROPERTY(r == 0 || r == -EINVAL, "%d", r);
    if (r == 0 && c)
        r = condition_match(c, from, &wanted, reason, sizeof reason);
    PROPERTY(r == 0 || r == -EINVAL || r == -EBADMSG, "%d", r);
    if (r < 0)
        reason_check(reason, sizeof reason);
    else if (!c)
        r = -ENOENT;
    condition_free(c);
    return r < 0 ? r : wanted;
}

static void check_not(const char *source, int wanted, const struct path_source *from)
{
    struct buf negated;

    buf_init(&negated, 1 << 20);
    buf_addf(&negated, "{\"$not\":%s}", source);
    int other = verdict(buf_text(&negated), from);
    /* One level and one part more may be too many. */
    PROPERTY(other == -EINVAL || other == !wanted, "%d and %d", wanted, other);
    buf_release(&negated);
}

static void check_numbers(const char *a, const char *b)
{
    if (!jsontext_is_number(a, strlen(a)) || !jsontext_is_number(b, strlen(b)))
        return;
    int order = decimal_compare(a, strlen(a), b, strlen(b));
    int other = decimal_compare(b, strlen(b), a, strlen(a));
    PROPERTY((order > 0) == (other < 0) && (order == 0) == (other == 0), "%d %d", order, other);
    PROPERTY(decimal_compare(a, strlen(a), a, strlen(a)) == 0, "%s", a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct jsonview event;
    struct enrichment looked_up = {0};
    struct fields f;
    char reason[200];

    fields_cut(&f, 2, data, size);
    (void)!jsonview_parse(&event, f.text[1], f.len[1], 32, reason, sizeof reason); /* or empty */
    for (unsigned root = ROOT_EVENT + 1; root < PATH_ROOTS; root++) {
        looked_up.views[root] = &event;
        PROPERTY(enrichment_id(&event, (enum path_root)root) >= 0, "root %u", root);
        (void)enrichment_is_changed(&event, (enum path_root)root);
    }
    const struct path_source from = {&event, &looked_up};
    int wanted = verdict(f.text[0], &from);
    if (wanted >= 0)
        check_not(f.text[0], wanted, &from);
    check_numbers(f.text[0], f.text[1]);
    jsonview_reset(&event);
    fields_release(&f);
    return 0;
}
