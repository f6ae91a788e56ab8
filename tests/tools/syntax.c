/* Tells what the worker says to templates and filters: for tests that compare it with the plugin.
 * A JSON array [kind, text] a line in, kind is json, text or filter; "ok" or the fault a line out.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dispatcher/condition.h"
#include "dispatcher/template.h"

static int check(const char *kind, const char *text, char *reason, size_t size)
{
    struct template *t = NULL;
    struct condition *c = NULL;
    int r;

    if (strcmp(kind, "filter") == 0)
        r = condition_compile(text, &c, reason, size);
    else
        r = template_compile(strcmp(kind, "json") == 0 ? TEMPLATE_JSON : TEMPLATE_TEXT, text, &t,
                             reason, size);
    template_free(t);
    condition_free(c);
    return r;
}

int main(void)
{
    char *line = NULL;
    size_t room = 0;

    while (getline(&line, &room, stdin) > 0) {
        char reason[1000] = "";
        struct json_object *pair = json_tokener_parse(line);
        if (!pair || json_object_array_length(pair) != 2)
            return 65;
        int r = check(json_object_get_string(json_object_array_get_idx(pair, 0)),
                      json_object_get_string(json_object_array_get_idx(pair, 1)), reason,
                      sizeof reason);
        puts(r == 0 ? "ok" : reason);
        json_object_put(pair);
    }
    free(line);
    return 0;
}
