/* WSDLs and messages that PHP's SoapClient is no measure for: what it does not know, and what is
 * wrong or hostile. Everything else is compared with it in test_soap.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dispatcher/soap.h"
#include "dispatcher/wsdl.h"

#define HEAD                                                                                       \
    "<definitions xmlns='http://schemas.xmlsoap.org/wsdl/' "                                       \
    "xmlns:s='http://schemas.xmlsoap.org/wsdl/soap/' "                                             \
    "xmlns:x='http://www.w3.org/2001/XMLSchema' "                                                  \
    "xmlns:e='http://schemas.xmlsoap.org/soap/encoding/' "                                         \
    "xmlns:w='http://schemas.xmlsoap.org/wsdl/' xmlns:t='urn:t' targetNamespace='urn:t'>"          \
    "<types><x:schema targetNamespace='urn:t' elementFormDefault='qualified'>"
#define TAIL                                                                                       \
    "</x:schema></types>"                                                                          \
    "<message name='in'><part name='p' element='t:In'/></message>"                                 \
    "<message name='out'><part name='p' element='t:Out'/></message>"                               \
    "<portType name='port'><operation name='Do'><input message='t:in'/>"                           \
    "<output message='t:out'/></operation></portType>"                                             \
    "<binding name='b' type='t:port'><s:binding/><operation name='Do'>"                            \
    "<s:operation soapAction='urn:&quot;do&#13;&#10;X: y'/><input><s:body use='literal'/></input>" \
    "<output><s:body use='literal'/></output></operation></binding>"                               \
    "<service name='s'><port name='p' binding='t:b'><s:address location='http://h/s'/></port>"     \
    "</service></definitions>"
#define OUT "<x:element name='Out' type='x:anyType'/>"

/* Documents by address. */
struct page {
    const char *url;
    const char *text;
};

static struct wsdl *read_all(const struct page *pages, const char *origins, char *reason,
                             size_t size)
{
    struct wsdl_reader *reader = wsdl_reader_new(pages[0].url, origins);
    struct wsdl *wsdl = NULL;
    const char *url;
    int r = 0;
    assert_non_null(reader);
    reason[0] = '\0';
    while (r == 0 && (url = wsdl_reader_wants(reader)) != NULL) {
        const struct page *p = pages;
        while (p->url && strcmp(p->url, url) != 0) {
            p++;
        }
        if (!p->url) {
            fail_msg("nobody has %s", url);
        }
        const char *text = p->text ? p->text : "";
        r = wsdl_reader_give(reader, text, strlen(text), reason, size);
    }
    r = r < 0 ? r : wsdl_reader_finish(reader, &wsdl, reason, size);
    assert_true((r == 0) == (wsdl != NULL));
    wsdl_reader_free(reader);
    return wsdl;
}

static struct wsdl *read_one(const char *schema)
{
    char text[16384];
    char reason[WSDL_REASON_SIZE];
    const struct page pages[] = {{"http://h/a.wsdl", text}, {NULL, NULL}};
    int len = snprintf(text, sizeof(text), "%s%s%s%s", HEAD, schema, OUT, TAIL);
    assert_in_range(len, 1, sizeof(text) - 1);
    struct wsdl *w = read_all(pages, "", reason, sizeof(reason));
    if (!w) {
        fail_msg("%s", reason);
    }
    return w;
}

/* The message, or "!" and the reason. */
static const char *message(const struct wsdl *w, const char *payload, struct buf *out)
{
    static char reason[WSDL_REASON_SIZE + 1];
    struct soap_input input = {
        .wsdl = w, .payload = payload, .payload_len = strlen(payload), .headers = ""};
    reason[0] = '!';
    buf_reset(out);
    input.operation = wsdl_operation(w, "Do", "", reason + 1, sizeof(reason) - 1);
    if (!input.operation || soap_write(&input, out, reason + 1, sizeof(reason) - 1) < 0) {
        return reason;
    }
    return buf_text(out);
}

static const struct {
    const char *schema;
    const char *payload;
    const char *part; /* of the message, or of its reason behind "!" */
} rows[] = {
    /* Groups in groups, and what they share. */
    {"<x:group name='g'><x:sequence><x:element name='a' type='x:int'/></x:sequence></x:group>"
     "<x:element name='In'><x:complexType><x:sequence><x:group ref='t:g' minOccurs='0'/>"
     "<x:element name='b' type='x:int'/></x:sequence></x:complexType></x:element>",
     "{\"b\": 2, \"a\": 1}", "<ns2:a>1</ns2:a><ns2:b>2</ns2:b>"},
    /* A derived type, by its name. */
    {"<x:complexType name='A' abstract='true'><x:sequence><x:element name='a' type='x:int'/>"
     "</x:sequence></x:complexType><x:complexType name='B'><x:complexContent>"
     "<x:extension base='t:A'><x:sequence><x:element name='b' type='x:int'/></x:sequence>"
     "</x:extension></x:complexContent></x:complexType>"
     "<x:element name='In'><x:complexType><x:sequence><x:element name='v' type='t:A'/>"
     "</x:sequence></x:complexType></x:element>",
     "{\"v\": {\"@xsi:type\": \"B\", \"b\": 2, \"a\": 1}}",
     "xsi:type=\"ns2:B\"><ns2:a>1</ns2:a><ns2:b>2</ns2:b></ns2:v>"},
    {"<x:complexType name='A' abstract='true'/>"
     "<x:element name='In'><x:complexType><x:sequence><x:element name='v' type='t:A'/>"
     "</x:sequence></x:complexType></x:element>",
     "{\"v\": {}}", "!v: its type is abstract"},
    /* A sequence that is repeated: arrays side by side. */
    {"<x:element name='In'><x:complexType><x:sequence maxOccurs='unbounded'>"
     "<x:element name='k' type='x:string'/><x:element name='v' type='x:int'/>"
     "</x:sequence></x:complexType></x:element>",
     "{\"v\": [1, 2], \"k\": [\"a\", \"b\"]}",
     "<ns2:k>a</ns2:k><ns2:v>1</ns2:v><ns2:k>b</ns2:k><ns2:v>2</ns2:v>"},
    {"<x:element name='In'><x:complexType><x:sequence maxOccurs='unbounded'>"
     "<x:element name='k' type='x:string'/><x:element name='v' type='x:int'/>"
     "</x:sequence></x:complexType></x:element>",
     "{\"v\": [1], \"k\": [\"a\", \"b\"]}", "!v: it is missing"},
    /* Attributes: taken out by a restriction, fixed, of a namespace. */
    {"<x:complexType name='A'><x:attribute name='a' type='x:int'/><x:attribute name='b' "
     "use='required' fixed='7'/></x:complexType><x:complexType name='B'><x:complexContent>"
     "<x:restriction base='t:A'><x:attribute name='a' use='prohibited'/></x:restriction>"
     "</x:complexContent></x:complexType><x:element name='In' type='t:B'/>",
     "{}", "<ns2:In b=\"7\"/>"},
    {"<x:complexType name='A'><x:attribute name='a' type='x:int'/></x:complexType>"
     "<x:complexType name='B'><x:complexContent><x:restriction base='t:A'>"
     "<x:attribute name='a' use='prohibited'/></x:restriction></x:complexContent></x:complexType>"
     "<x:element name='In' type='t:B'/>",
     "{\"@a\": 1}", "!@a: the WSDL knows no element or attribute"},
    {"<x:element name='In'><x:complexType><x:simpleContent><x:extension base='x:string'>"
     "<x:attribute ref='xml:lang'/></x:extension></x:simpleContent></x:complexType></x:element>",
     "{\"_\": \"hi\", \"@lang\": \"de\"}", "<ns2:In xml:lang=\"de\">hi</ns2:In>"},
    /* What is wrong names document and element, and only who needs it. */
    {"<x:element name='In'><x:complexType><x:sequence><x:element name='a' type='t:None'/>"
     "</x:sequence></x:complexType></x:element>",
     "{\"a\": 1}", "!a: WSDL http://h/a.wsdl: line 1: the type \"t:None\" is not defined"},
    {"<x:element name='In'><x:complexType><x:sequence><x:element minOccurs='0' name='a' "
     "type='t:None'/></x:sequence></x:complexType></x:element>",
     "{}", "<ns2:In/>"},
    {"<x:element name='Other' type='x:int'/>", "{}",
     "!WSDL http://h/a.wsdl: the part \"p\" has no element that is defined"},
    /* Circles and growth beyond measure. */
    {"<x:complexType name='A'><x:complexContent><x:extension base='t:B'/></x:complexContent>"
     "</x:complexType><x:complexType name='B'><x:complexContent><x:extension base='t:A'/>"
     "</x:complexContent></x:complexType><x:element name='In' type='t:A'/>",
     "{}", "derived from itself"},
    {"<x:group name='g'><x:sequence><x:group ref='t:g'/></x:sequence></x:group>"
     "<x:element name='In'><x:complexType><x:group ref='t:g'/></x:complexType></x:element>",
     "{}", "holds too much"},
    {"<x:group name='a'><x:sequence><x:group ref='t:b'/><x:group ref='t:b'/><x:group ref='t:b'/>"
     "<x:group ref='t:b'/></x:sequence></x:group><x:group name='b'><x:sequence><x:group ref='t:c'/>"
     "<x:group ref='t:c'/><x:group ref='t:c'/><x:group ref='t:c'/></x:sequence></x:group>"
     "<x:group name='c'><x:sequence><x:group ref='t:d'/><x:group ref='t:d'/><x:group ref='t:d'/>"
     "<x:group ref='t:d'/></x:sequence></x:group><x:group name='d'><x:sequence><x:group ref='t:f'/>"
     "<x:group ref='t:f'/><x:group ref='t:f'/><x:group ref='t:f'/></x:sequence></x:group>"
     "<x:group name='f'><x:sequence><x:group ref='t:h'/><x:group ref='t:h'/><x:group ref='t:h'/>"
     "<x:group ref='t:h'/></x:sequence></x:group><x:group name='h'><x:sequence>"
     "<x:element name='i' type='x:int'/><x:element name='j' type='x:int'/>"
     "<x:element name='k' type='x:int'/><x:element name='l' type='x:int'/>"
     "<x:element name='m' type='x:int'/></x:sequence></x:group>"
     "<x:element name='In'><x:complexType><x:group ref='t:a'/></x:complexType></x:element>",
     "{}", "holds too much"},
    /* A type that holds itself is as deep as its payload. */
    {"<x:complexType name='T'><x:sequence><x:element name='c' type='t:T' minOccurs='0'/>"
     "</x:sequence></x:complexType><x:element name='In' type='t:T'/>",
     "{\"c\": {\"c\": {}}}", "<ns2:In><ns2:c><ns2:c/></ns2:c></ns2:In>"},
};

static void writes_or_refuses(void **state)
{
    struct buf out;
    (void)state;
    buf_init(&out, 1 << 20);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct wsdl *w = read_one(rows[i].schema);
        char wanted[400];
        const char *text = message(w, rows[i].payload, &out);
        /* The namespace's prefix is not what this is about. */
        (void)snprintf(wanted, sizeof(wanted), "%s", rows[i].part);
        for (char *at = wanted;
             (at = strstr(at, "ns2:")) != NULL && strstr(text, "ns1=\"urn:t\"");) {
            at[2] = '1';
        }
        if (!strstr(text, wanted)) {
            fail_msg("row %zu: %s\n  is not in %s", i, wanted, text);
        }
        wsdl_free(w);
    }
    buf_release(&out);
}

static void takes_a_schema_without_a_namespace_into_that_of_who_includes_it(void **state)
{
    static const char including[] = HEAD
        "<x:include schemaLocation='sub/types.xsd'/><x:element name='In' type='t:T'/>" OUT TAIL;
    static const struct page pages[] = {
        {"http://h/a.wsdl", including},
        {"http://h/sub/types.xsd",
         "<schema xmlns='http://www.w3.org/2001/XMLSchema' "
         "xmlns:x='http://www.w3.org/2001/XMLSchema'"
         " elementFormDefault='qualified'><include schemaLocation='../a2.xsd'/>"
         "<complexType name='T'><sequence><element name='a' type='x:int'/></sequence></complexType>"
         "</schema>"},
        {"http://h/a2.xsd", "<schema xmlns='http://www.w3.org/2001/XMLSchema'/>"},
        {NULL, NULL}};
    char reason[WSDL_REASON_SIZE];
    struct buf out;
    (void)state;
    struct wsdl *w = read_all(pages, "", reason, sizeof(reason));
    assert_non_null(w);
    buf_init(&out, 1 << 20);
    assert_non_null(strstr(message(w, "{\"a\": 1}", &out), ":a>1</"));
    buf_release(&out);
    wsdl_free(w);
}

static void imports_only_from_its_origin_or_a_listed_one(void **state)
{
    static const struct page pages[] = {
        {"http://h/a.wsdl", "<definitions xmlns='http://schemas.xmlsoap.org/wsdl/'>"
                            "<import location='https://O.example/b.wsdl#x'/></definitions>"},
        {"https://O.example/b.wsdl", HEAD "<x:element name='In' type='x:int'/>" OUT TAIL},
        {NULL, NULL}};
    char reason[WSDL_REASON_SIZE];
    (void)state;
    assert_null(read_all(pages, "https://o.example:444 http://o.example", reason, sizeof(reason)));
    assert_non_null(
        strstr(reason, "WSDL http://h/a.wsdl: it imports a document of another origin"));
    struct wsdl *w = read_all(pages, "x, https://o.example:443", reason, sizeof(reason));
    assert_non_null(w);
    wsdl_free(w);
}

static void filters_the_action(void **state)
{
    struct wsdl *w = read_one("<x:element name='In' type='x:int'/>");
    struct buf out;
    (void)state;
    buf_init(&out, 1000);
    soap_add_headers(wsdl_operation_at(w, 0), &out);
    assert_string_equal(buf_text(&out), "SOAPAction: \"urn:doX:y\"");
    buf_release(&out);
    wsdl_free(w);
}

static int answer(const struct wsdl *w, const char *body, struct buf *out)
{
    char text[4096];
    char reason[200];
    struct soap_fault fault;
    int len =
        snprintf(text, sizeof(text),
                 "<e:Envelope xmlns:e='http://schemas.xmlsoap.org/soap/envelope/' "
                 "xmlns:i='http://www.w3.org/2001/XMLSchema-instance' "
                 "xmlns:x='http://www.w3.org/2001/XMLSchema'><e:Body>%s</e:Body></e:Envelope>",
                 body);
    buf_reset(out);
    return soap_read(w, wsdl_operation_at(w, 0), text, (size_t)len, out, &fault, reason,
                     sizeof(reason));
}

static void reads_what_has_no_schema_by_its_looks(void **state)
{
    struct wsdl *w = read_one("<x:element name='In' type='x:int'/>");
    struct buf out;
    (void)state;
    buf_init(&out, 1 << 16);
    assert_int_equal(answer(w, "<Out><a i:type='x:int'> 05 </a><b/><c>1</c><c>x</c></Out>", &out),
                     0);
    assert_string_equal(buf_text(&out), "{\"a\":5,\"b\":\"\",\"c\":[\"1\",\"x\"]}");
    assert_int_equal(answer(w, "<Out><a href='#1'/></Out><m id='1' i:type='x:boolean'>1</m>", &out),
                     0);
    assert_string_equal(buf_text(&out), "{\"a\":true}");
    buf_release(&out);
    wsdl_free(w);
}

/* Each refers to the next one twice, and the last one to the first. */
static void references_that_multiply_end(void **state)
{
    struct wsdl *w = read_one("<x:element name='In' type='x:int'/>");
    char body[3000] = "<Out><a href='#0'/></Out>";
    struct buf out;
    (void)state;
    for (int i = 0; i < 30; i++) {
        size_t len = strlen(body);
        (void)snprintf(body + len, sizeof(body) - len,
                       "<m id='%d'><a href='#%d'/><b href='#%d'/></m>", i, (i + 1) % 30,
                       (i + 1) % 30);
    }
    buf_init(&out, 1 << 16);
    assert_int_equal(answer(w, body, &out), 0);
    assert_string_equal(buf_text(&out), "null");
    buf_release(&out);
    wsdl_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_or_refuses),
        cmocka_unit_test(takes_a_schema_without_a_namespace_into_that_of_who_includes_it),
        cmocka_unit_test(imports_only_from_its_origin_or_a_listed_one),
        cmocka_unit_test(filters_the_action),
        cmocka_unit_test(reads_what_has_no_schema_by_its_looks),
        cmocka_unit_test(references_that_multiply_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
