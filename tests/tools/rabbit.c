/* The command line of mih-test-rabbit. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "rabbit.h"

static const char help[] =
    "Usage: mih-test-rabbit COMMAND [OPTION...]\n"
    "  publish --exchange X --file EVENTS.jsonl [--events N] [--rate PER_SECOND] [--window N]\n"
    "          [--log FILE] [--app-id SITE] [--prefix TEXT]    real events with new ids\n"
    "          [--key K] [--header N=TEXT]... [--header N:=NUMBER]...   all with this key and "
    "these\n"
    "  raw     --exchange X --key K [--file BODY|-] [--id I] [--type T] [--app-id A] [--bare]\n"
    "          [--content-type C] [--timestamp S] [--header N=TEXT|N:=NUMBER|N%=HEX]...\n"
    "  drain   --queue Q [--peek|--follow] [--max N]           one JSON line per message; follow: "
    "until it\n"
    "          is killed, each with the time of its arrival\n"
    "  count   --queue Q...                                    ready messages and consumers\n"
    "  declare [--exchange X [--exchange-type T]] [--queue Q... [--argument N=TEXT|N:=NUMBER]...\n"
    "          [--bind EXCHANGE:KEY]...]\n"
    "  delete  [--queue Q]... [--exchange X]\n"
    "  purge   --queue Q...\n"
    "The broker: --url amqp://user:password@host:port/vhost, or the environment's "
    "MIH_BROKER_URL.\n";

enum kind { TEXT, NUMBER, LIST, FLAG };

/* One row per option; value is the field of struct options it fills. */
struct row {
    const char *name;
    enum kind kind;
    size_t offset;
};

#define FIELD(member) offsetof(struct options, member)
static const struct row rows[] = {
    {"url", TEXT, FIELD(url)},
    {"exchange", TEXT, FIELD(exchange)},
    {"exchange-type", TEXT, FIELD(exchange_type)},
    {"key", TEXT, FIELD(key)},
    {"file", TEXT, FIELD(file)},
    {"log", TEXT, FIELD(log)},
    {"prefix", TEXT, FIELD(prefix)},
    {"id", TEXT, FIELD(id)},
    {"type", TEXT, FIELD(type)},
    {"app-id", TEXT, FIELD(app_id)},
    {"content-type", TEXT, FIELD(content_type)},
    {"queue", LIST, FIELD(queues)},
    {"header", LIST, FIELD(headers)},
    {"argument", LIST, FIELD(arguments)},
    {"bind", LIST, FIELD(bindings)},
    {"events", NUMBER, FIELD(events)},
    {"rate", NUMBER, FIELD(rate)},
    {"window", NUMBER, FIELD(window)},
    {"timestamp", NUMBER, FIELD(timestamp)},
    {"max", NUMBER, FIELD(max)},
    {"peek", FLAG, FIELD(peek)},
    {"follow", FLAG, FIELD(follow)},
    {"bare", FLAG, FIELD(bare)},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static const struct {
    const char *name;
    int (*run)(struct link *link, const struct options *options);
} commands[] = {
    {"publish", command_publish}, {"raw", command_raw},         {"drain", command_drain},
    {"count", command_count},     {"declare", command_declare}, {"delete", command_delete},
    {"purge", command_purge},
};

static int set_option(struct options *options, const struct row *row, const char *value)
{
    char *field = (char *)options + row->offset;
    if (row->kind == FLAG) {
        *(bool *)field = true;
    } else if (row->kind == TEXT) {
        memcpy(field, &value, sizeof value);
    } else if (row->kind == LIST) {
        struct list list;
        memcpy(&list, field, sizeof list);
        if (list.count == LIST_MAX)
            return complain("--%s is given too often", row->name);
        list.item[list.count++] = value;
        memcpy(field, &list, sizeof list);
    } else {
        char *end;
        errno = 0;
        uint64_t number = strtoull(value, &end, 10);
        if (errno || *end || end == value || *value == '-')
            return complain("--%s: '%s' is not a number", row->name, value);
        memcpy(field, &number, sizeof number);
    }
    return 0;
}

static int read_options(int argc, char **argv, struct options *ret_options)
{
    struct option table[ROWS + 1] = {0};
    for (size_t i = 0; i < ROWS; i++) {
        table[i].name = rows[i].name;
        table[i].has_arg = rows[i].kind == FLAG ? no_argument : required_argument;
    }
    for (int index = 0, c; (c = getopt_long(argc, argv, "", table, &index)) != -1;)
        if (c != 0 || set_option(ret_options, &rows[index], optarg))
            return -1;
    if (optind != argc)
        return complain("unexpected argument '%s'", argv[optind]);
    return 0;
}

int main(int argc, char **argv)
{
    struct options options = {.url = getenv("MIH_BROKER_URL")};
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(help, stdout);
        return EX_OK;
    }
    for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(commands[i].name, argv[1]) != 0)
            continue;
        if (read_options(argc - 1, argv + 1, &options))
            return EX_USAGE;
        if (!options.url) {
            complain("no --url");
            return EX_USAGE;
        }
        struct link link;
        int result = link_open(&link, options.url);
        if (result == 0)
            result = commands[i].run(&link, &options);
        link_close(&link);
        return result == 0 ? EX_OK : EX_UNAVAILABLE;
    }
    fputs(help, stderr);
    return EX_USAGE;
}
