#include "worker/ctl_report.h"

#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <sysexits.h>

#include "worker/ctl_base.h"
#include "worker/ctl_print.h"

enum { TEXT_SIZE = 1000 };

static const char *const names[] = {
    [CTL_OK] = "ok", [CTL_WARN] = "warn", [CTL_DOWN] = "FAIL", [CTL_WRONG] = "FAIL"};

void ctl_report_init(struct ctl_report *r, bool json)
{
    *r = (struct ctl_report){.json = json, .checks = json ? json_object_new_array() : NULL};
}

void ctl_report_add(struct ctl_report *r, enum ctl_level level, const char *what,
                    const char *format, ...)
{
    struct json_object *check;
    char text[TEXT_SIZE];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    r->count[level]++;
    if (!r->json) {
        printf("%-4s  %s: %s\n", names[level], ctl_safe(what), ctl_safe(text));
        fflush(stdout);
        return;
    }
    check = json_object_new_object();
    ctl_set_text(check, "check", what);
    ctl_set_text(check, "result", names[level]);
    ctl_set_text(check, "text", text);
    if (r->checks)
        json_object_array_add(r->checks, check);
    else
        json_object_put(check);
}

static void print_object(const struct ctl_report *r)
{
    struct json_object *object = json_object_new_object();

    ctl_set_number(object, "ok", r->count[CTL_OK]);
    ctl_set_number(object, "warn", r->count[CTL_WARN]);
    ctl_set_number(object, "fail", r->count[CTL_DOWN] + r->count[CTL_WRONG]);
    if (object)
        json_object_object_add(object, "checks", r->checks);
    ctl_print_object(stdout, object);
}

int ctl_report_end(struct ctl_report *r)
{
    if (r->json)
        print_object(r);
    else
        printf("%u ok, %u warn, %u FAIL\n", r->count[CTL_OK], r->count[CTL_WARN],
               r->count[CTL_DOWN] + r->count[CTL_WRONG]);
    r->checks = NULL;
    return r->count[CTL_DOWN] ? EX_UNAVAILABLE : r->count[CTL_WRONG] ? EX_CONFIG : EX_OK;
}
