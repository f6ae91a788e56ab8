/* Templates: what a JSON template renders is JSON, and data never changes its structure. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/jsonview.h"
#include "dispatcher/path.h"
#include "dispatcher/template.h"
#include "tests/fuzz/fuzz.h"

enum { ROOM = 1 << 18 };

/* Two events that differ in the text of strings only, none of them a number or empty. */
static const char plain[] =
    "{\"v\":\"plain\",\"a\":\"plain\",\"secret\":\"plain\",\"eventname\":\"plain\",\"userid\":7,"
    "\"z\":null,\"t\":true,"
    "\"other\":{\"v\":\"plain\",\"l\":[\"plain\",1.50,{\"v\":\"plain\"}],\"e\":{}}}";
static const char nasty[] = "{\"v\":\"{{secret}}\",\"a\":\"\\\"],{\\\"x\\\":\\\\\",\"eventname\":"
                            "\"\\u0000{{v}}\\n\",\"userid\":7,"
                            "\"z\":null,\"t\":true,\"other\":{\"v\":\"}}\\\"{{a\",\"l\":["
                            "\"\\ud83d\\ude00{{a | json}}\",1.50,"
                            "{\"v\":\"/../?&#@\\r\\n\"}],\"e\":{}},\"secret\":\"L3AKED\"}";

static int render(const struct template *t, const struct jsonview *event,
                  enum template_escape escape, struct buf *out)
{
    char reason[200];
    reason_clear(reason, sizeof reason);
    buf_init(out, ROOM);
    /* What was looked up is another text of the same kind: let it be the event itself. */
    struct enrichment data = {0};
    for (size_t i = 0; i < PATH_ROOTS; i++)
        data.views[i] = event;
    const struct path_source source = {event, &data};
    int r = template_render(t, &source, escape, out, reason, sizeof reason);
    PROPERTY(r == 0 || r == -EBADMSG, "%d", r);
    if (r)
        reason_check(reason, sizeof reason);
    return r ? r : buf_error(out);
}

static void check_json(const struct template *t, const struct jsonview *event)
{
    struct buf out;
    if (render(t, event, ESCAPE_NONE, &out) == 0) {
        PROPERTY(is_plain(buf_text(&out), out.len), "%s", out.data);
        json_check(out.data, out.len);
    }
    buf_release(&out);
}

/* Both events make the same structure, whatever the template. */
static void compare(const struct template *t, const struct jsonview *one,
                    const struct jsonview *other)
{
    struct buf out[2], skeleton[2];
    buf_init(&skeleton[0], ROOM);
    buf_init(&skeleton[1], ROOM);
    int r0 = render(t, one, ESCAPE_NONE, &out[0]);
    int r1 = render(t, other, ESCAPE_NONE, &out[1]);
    if (r0 == 0 && r1 == 0) {
        add_skeleton(&skeleton[0], buf_text(&out[0]));
        add_skeleton(&skeleton[1], buf_text(&out[1]));
        PROPERTY(strcmp(buf_text(&skeleton[0]), buf_text(&skeleton[1])) == 0, "%s and %s",
                 out[0].data, out[1].data);
    }
    for (size_t i = 0; i < 2; i++) {
        buf_release(&out[i]);
        buf_release(&skeleton[i]);
    }
}

/* A placeholder that data brings along inserts nothing. */
static void check_no_leak(const struct template *t, const char *source,
                          const struct jsonview *event, enum template_escape escape)
{
    struct buf out;
    if (strcasestr(source, "secret") || strchr(source, '\\') || strcasestr(source, "L3AKED"))
        return;
    if (render(t, event, escape, &out) == 0)
        PROPERTY(!strcasestr(buf_text(&out), "L3AKED"), "%s", out.data);
    buf_release(&out);
}

static void view(struct jsonview *v, const char *text, size_t len)
{
    char reason[200];
    int r = jsonview_parse(v, text, len, 32, reason, sizeof reason);
    PROPERTY(r == 0, "%s", reason);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct jsonview events[2], own; /* used again and again, as a worker does */
    if (!events[0].text) {
        view(&events[0], plain, sizeof plain - 1);
        view(&events[1], nasty, sizeof nasty - 1);
    }
    struct fields f;
    char reason[200];
    fields_cut(&f, 2, data, size);
    (void)!jsonview_parse(&own, f.text[1], f.len[1], 32, reason, sizeof reason); /* or empty */
    for (enum template_kind kind = TEMPLATE_JSON; kind <= TEMPLATE_TEXT; kind++) {
        struct template *t = NULL;
        reason_clear(reason, sizeof reason);
        int r = template_compile(kind, f.text[0], &t, reason, sizeof reason);
        PROPERTY(r == 0 || r == -EINVAL, "%d", r);
        if (r) {
            reason_check(reason, sizeof reason);
            continue;
        }
        check_no_leak(t, f.text[0], &events[1],
                      kind == TEMPLATE_TEXT ? ESCAPE_URL_SEGMENT : ESCAPE_NONE);
        if (kind == TEMPLATE_JSON) {
            compare(t, &events[0], &events[1]);
            check_json(t, &events[1]);
            check_json(t, &own);
        } else {
            struct buf out;
            (void)render(t, &own, size % 2 ? ESCAPE_NONE : ESCAPE_URL_SEGMENT, &out);
            buf_release(&out);
        }
        template_free(t);
    }
    jsonview_reset(&own);
    fields_release(&f);
    return 0;
}
