/* A WSDL, a payload, SOAP headers and an answer, all from outside: a message that is made is XML
 * that our own parser takes, an answer becomes JSON, and every refusal has its reason. */
#include <errno.h>
#include <stdio.h>

#include "dispatcher/soap.h"
#include "dispatcher/xmlsafe.h"
#include "tests/fuzz/fuzz.h"

/* What an import gets: the same document as the first one. */
static struct wsdl *read_wsdl(const struct fields *f)
{
    char reason[WSDL_REASON_SIZE];
    struct wsdl_reader *reader = wsdl_reader_new("http://h/a.wsdl", "");
    struct wsdl *wsdl = NULL;
    int r = 0;
    if (!reader)
        abort();
    reason_clear(reason, sizeof reason);
    while (r == 0 && wsdl_reader_wants(reader)) {
        PROPERTY(wsdl_reader_trusts(reader), "%s", wsdl_reader_wants(reader));
        r = wsdl_reader_give(reader, f->text[0], f->len[0], reason, sizeof reason);
    }
    if (r == 0)
        r = wsdl_reader_finish(reader, &wsdl, reason, sizeof reason);
    if (r != 0)
        PROPERTY(r == -ENOMEM || reason[0] != '\0', "%d", r);
    wsdl_reader_free(reader);
    return wsdl;
}

static void write(const struct wsdl *w, const struct wsdl_operation *o, const struct fields *f)
{
    static const struct soap_token token = {.user = "u", .password = "p", .digest = true};
    const struct soap_input input = {.wsdl = w,
                                     .operation = o,
                                     .payload = f->text[1],
                                     .payload_len = f->len[1],
                                     .headers = f->text[2],
                                     .headers_len = f->len[2],
                                     .token = f->len[3] % 2 ? &token : NULL};
    char reason[WSDL_REASON_SIZE] = "";
    struct buf out;
    xmlDoc *doc = NULL;
    buf_init(&out, 1 << 20);
    int r = o->fault ? 1 : soap_write(&input, &out, reason, sizeof reason);
    if (r == 0) {
        r = xmlsafe_parse(buf_text(&out), out.len, 1 << 20, &doc, reason, sizeof reason);
        PROPERTY(r == 0 || strstr(reason, "too") != NULL, "%s: %s", reason, buf_text(&out));
        xmlFreeDoc(doc);
    } else if (r == -EBADMSG) {
        PROPERTY(reason[0] != '\0', "no reason");
    }
    buf_reset(&out);
    soap_add_headers(o, &out);
    PROPERTY(is_plain(buf_text(&out), out.len), "%s", buf_text(&out));
    buf_release(&out);
}

static void read_answer(const struct wsdl *w, const struct wsdl_operation *o,
                        const struct fields *f)
{
    char reason[WSDL_REASON_SIZE] = "";
    struct soap_fault fault = {.text = ""};
    struct buf out;
    buf_init(&out, 1 << 16);
    int r = soap_read(w, o, f->text[3], f->len[3], &out, &fault, reason, sizeof reason);
    if (r >= 0)
        json_check(buf_text(&out), out.len);
    else
        PROPERTY(r != -EBADMSG || reason[0] != '\0', "no reason");
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fields f;
    fields_cut(&f, 4, data, size);
    struct wsdl *w = read_wsdl(&f);
    for (size_t i = 0; w && i < wsdl_operation_count(w) && i < 8; i++) {
        write(w, wsdl_operation_at(w, i), &f);
        read_answer(w, wsdl_operation_at(w, i), &f);
    }
    wsdl_free(w);
    fields_release(&f);
    return 0;
}
