/* Rendering: looks up each placeholder's path, applies its filters, inserts the value. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/jsontext.h"
#include "common/utf8.h"
#include "dispatcher/template.h"
#include "dispatcher/template_impl.h"

/* Inside of a JSON string: text, escaped. */
static int insert_in_string(struct template_value *v, struct buf *out)
{
    const char *text = NULL;
    size_t len = 0;
    int r = template_value_text(v, &text, &len);
    if (r == 0) {
        jsontext_escape(out, text, len);
    }
    return r;
}

/* Outside of strings: a whole JSON value. */
static int insert_value(struct template_value *v, struct buf *out)
{
    if (!v->text && !(v->node && v->node->type == JSONVIEW_STRING)) {
        return jsonview_print(v->view, v->node, out);
    }
    const char *text = NULL;
    size_t len = 0;
    int r = template_value_text(v, &text, &len);
    if (r < 0) {
        return r;
    }
    if (v->is_json || (!v->is_string && jsontext_is_safe_number(text, len))) {
        buf_add(out, text, len);
    } else {
        buf_addc(out, '"');
        jsontext_escape(out, text, len);
        buf_addc(out, '"');
    }
    return 0;
}

static int insert_plain(struct template_value *v, enum template_escape escape, struct buf *out)
{
    const char *text = NULL;
    size_t len = 0;
    int r = template_value_text(v, &text, &len);
    if (r < 0) {
        return r;
    }
    if (escape == ESCAPE_URL_SEGMENT && !v->url_safe) {
        filter_urlencode(out, text, len);
    } else {
        buf_add(out, text, len);
    }
    return 0;
}

static int insert(enum part_kind kind, struct template_value *v, enum template_escape escape,
                  struct buf *out)
{
    if (kind == PART_IN_STRING) {
        return insert_in_string(v, out);
    }
    return kind == PART_VALUE ? insert_value(v, out) : insert_plain(v, escape, out);
}

/* "line L, column C: {{path}}: what". */
static void explain(const struct template *t, const struct part *p, const char *what,
                    char *ret_reason, size_t reason_size)
{
    unsigned line = 0;
    unsigned column = 0;
    struct buf path;
    buf_init(&path, 256);
    path_print(&p->placeholder->path, &path);
    utf8_place(t->source, p->source_at, &line, &column);
    (void)snprintf(ret_reason, reason_size, "line %u, column %u: {{%s}}: %s", line, column,
                   buf_text(&path), what);
    buf_release(&path);
}

static int render_placeholder(const struct template *t, const struct part *p,
                              struct template_value *v, char *ret_reason, size_t reason_size)
{
    for (size_t i = 0; i < p->placeholder->n_filters; i++) {
        char what[128];
        int r = filter_apply(&p->placeholder->filters[i], v, what, sizeof(what));
        if (r == -EBADMSG) {
            explain(t, p, what, ret_reason, reason_size);
        }
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

int template_render(const struct template *t, const struct path_source *source,
                    enum template_escape escape, struct buf *out, char *ret_reason,
                    size_t reason_size)
{
    for (size_t i = 0; i < t->body.n; i++) {
        const struct part *p = &t->body.parts[i];
        if (p->kind == PART_LITERAL) {
            buf_add(out, p->literal.data, p->literal.len);
            continue;
        }
        struct template_value v;
        const struct jsonview *view = NULL;
        const struct jsonview_node *node = path_find(&p->placeholder->path, source, &view);
        template_value_init(&v, view, node);
        int r = render_placeholder(t, p, &v, ret_reason, reason_size);
        if (r == 0) {
            r = insert(p->kind, &v, escape, out);
        }
        template_value_release(&v);
        if (r == -EMSGSIZE) {
            explain(t, p, "the value is too large", ret_reason, reason_size);
            r = -EBADMSG;
        }
        if (r < 0) {
            return r;
        }
    }
    return 0;
}
