/*
 * mih-bench-render: how many payloads a core makes of events in one second of CPU.
 *
 *   mih-bench-render WAY TEMPLATE EVENTS SECONDS
 *
 * WAY is render (the events are parsed, as for the second rule of a message), parse (the event is
 * parsed for each payload), or json-c (the bare print of the finished payload as a tree of json-c,
 * nothing looked up: the least that a program built on it does). EVENTS is a file with an event a
 * line. Prints the number, and the bytes of one round over all events, for comparison.
 */
#include <err.h>
#include <json-c/json.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "common/jsonview.h"
#include "dispatcher/path.h"
#include "dispatcher/template.h"

enum { MAX_EVENTS = 2000, DEPTH = 32 };

struct event {
    char *text;
    size_t len;
    struct jsonview view;
    struct json_object *payload;
};

static struct event events[MAX_EVENTS];
static size_t n_events;
static struct template *made;
static struct buf out;

static double cpu_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void parse(struct jsonview *view, const char *text, size_t len)
{
    char reason[100];

    if (jsonview_parse(view, text, len, DEPTH, reason, sizeof reason) < 0)
        errx(EX_DATAERR, "%s", reason);
}

static size_t render(const struct jsonview *view)
{
    const struct path_source source = {.event = view};
    char reason[300];

    buf_reset(&out);
    if (template_render(made, &source, ESCAPE_NONE, &out, reason, sizeof reason) < 0)
        errx(EX_DATAERR, "%s", reason);
    return out.len;
}

static size_t way_render(struct event *e)
{
    return render(&e->view);
}

static size_t way_parse(struct event *e)
{
    static struct jsonview view;

    parse(&view, e->text, e->len);
    return render(&view);
}

static size_t way_json_c(struct event *e)
{
    size_t len = 0;

    (void)json_object_to_json_string_length(e->payload, JSON_C_TO_STRING_PLAIN, &len);
    return len;
}

static void read_events(const char *path)
{
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t room = 0;

    if (!file)
        err(EX_NOINPUT, "%s", path);
    while (n_events < MAX_EVENTS && getline(&line, &room, file) > 0) {
        struct event *e = &events[n_events++];

        e->len = strcspn(line, "\n");
        e->text = strndup(line, e->len);
        if (!e->text)
            err(EX_OSERR, "events");
        parse(&e->view, e->text, e->len);
        (void)render(&e->view);
        e->payload = json_tokener_parse(buf_text(&out));
    }
    free(line);
    fclose(file);
}

int main(int argc, char **argv)
{
    size_t (*way)(struct event *) = argc < 2                         ? NULL
                                    : strcmp(argv[1], "render") == 0 ? way_render
                                    : strcmp(argv[1], "parse") == 0  ? way_parse
                                    : strcmp(argv[1], "json-c") == 0 ? way_json_c
                                                                     : NULL;
    char reason[300];
    size_t made_of = 0, bytes = 0;

    if (argc != 5 || !way)
        errx(EX_USAGE, "usage: mih-bench-render render|parse|json-c TEMPLATE EVENTS SECONDS");
    buf_init(&out, 1 << 20);
    if (template_compile(TEMPLATE_JSON, argv[2], &made, reason, sizeof reason) < 0)
        errx(EX_DATAERR, "%s", reason);
    read_events(argv[3]);
    if (n_events == 0)
        errx(EX_DATAERR, "%s: no events", argv[3]);
    double began = cpu_s(), seconds = strtod(argv[4], NULL), took = 0;
    do {
        bytes = 0;
        for (size_t i = 0; i < n_events; i++)
            bytes += way(&events[i]);
        made_of += n_events;
        took = cpu_s() - began;
    } while (took < seconds);
    printf("%.0f %zu\n", (double)made_of / took, bytes);
    return 0;
}
