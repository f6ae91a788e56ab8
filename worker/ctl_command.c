#include "worker/ctl_command.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum option_id {
    CONFIG = 256,
    SERVICE,
    RULE,
    DATA,
    EVENT,
    RULE_ID,
    MESSAGE_ID,
    NOW,
    INTERVAL,
    JSON,
    VERSION,
    HELP
};

enum { MAX_INTERVAL_S = 3600, INTERVAL_S = 2 };

static const struct option known[] = {
    {"config", required_argument, NULL, CONFIG},
    {"service", required_argument, NULL, SERVICE},
    {"rule", required_argument, NULL, RULE},
    {"data", required_argument, NULL, DATA},
    {"event", required_argument, NULL, EVENT},
    {"rule-id", required_argument, NULL, RULE_ID},
    {"message-id", required_argument, NULL, MESSAGE_ID},
    {"now", required_argument, NULL, NOW},
    {"interval", required_argument, NULL, INTERVAL},
    {"json", no_argument, NULL, JSON},
    {"version", no_argument, NULL, VERSION},
    {"help", no_argument, NULL, HELP},
    {NULL, 0, NULL, 0},
};

/* A command with the words that follow it. */
static const struct verb {
    const char *word;
    enum ctl_verb verb;
    const char *subject; /* NULL: none */
    bool may_reset;
} verbs[] = {
    {"render", CTL_RENDER, NULL, false},
    {"send", CTL_SEND, NULL, false},
    {"check", CTL_CHECK, NULL, false},
    {"status", CTL_STATUS, NULL, false},
    {"top", CTL_TOP, NULL, false},
    {"pause", CTL_PAUSE, "which service: its id or name", false},
    {"resume", CTL_RESUME, "which service: its id or name", false},
    {"breaker", CTL_BREAKER, "which service: its id or name", true},
    {"trace", CTL_TRACE, "which message: its id", false},
};

#define COMMANDS "check, status, top, pause, resume, breaker, trace, dlq, render and send"

static int read_number(const char *text, int64_t *ret_number)
{
    char *end;

    errno = 0;
    *ret_number = strtoll(text, &end, 10);
    return errno != 0 || end == text || *end != '\0' || *ret_number <= 0 ? -EINVAL : 0;
}

static int take_option(struct ctl_command *c, int option, const char *value)
{
    switch (option) {
    case CONFIG:
        c->config_path = value;
        return 0;
    case SERVICE:
        c->service = value;
        return 0;
    case RULE:
        c->rule = value;
        return 0;
    case DATA:
        c->data = value;
        return 0;
    case EVENT:
        c->event = value;
        return 0;
    case RULE_ID:
        return read_number(value, &c->rule_id);
    case MESSAGE_ID:
        c->message_id = value;
        return 0;
    case NOW:
        return read_number(value, &c->now_s);
    case INTERVAL:
        return read_number(value, &c->interval_s);
    case JSON:
        c->json = true;
        return 0;
    default:
        c->verb = option == VERSION ? CTL_VERSION : CTL_HELP;
        return 0;
    }
}

static int refuse(char *ret_reason, size_t size, const char *what, const char *accepted)
{
    snprintf(ret_reason, size, "%.80s: %s", what, accepted);
    return -EINVAL;
}

static const struct verb *find_verb(const char *word)
{
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(word, verbs[i].word) == 0)
            return &verbs[i];
    return NULL;
}

/* The words behind the command. */
static int take_words(struct ctl_command *c, const struct verb *verb, char **words,
                      char *ret_reason, size_t size)
{
    if (verb->subject && !*words)
        return refuse(ret_reason, size, verb->word, verb->subject);
    if (verb->subject)
        c->subject = *words++;
    if (*words && verb->may_reset && strcmp(*words, "reset") == 0) {
        c->reset = true;
        words++;
    }
    return *words ? refuse(ret_reason, size, *words, "not understood") : 0;
}

/* Which of both sources, and all of it. */
static const char *rendering_fault(const struct ctl_command *c)
{
    bool files = c->service || c->rule || c->data;

    if (c->rule_id != 0 && files)
        return "--rule-id is of the database, --service, --rule and --data are files: not both";
    if (c->rule_id == 0 && !(c->service && c->rule))
        return "which rule: --rule-id N, or --service FILE --rule FILE";
    return c->event ? NULL : "which event: --event FILE";
}

static const char *fault_of(const struct ctl_command *c)
{
    if (c->interval_s > MAX_INTERVAL_S)
        return "--interval takes up to 3600 seconds";
    if (c->interval_s != 0 && c->verb != CTL_TOP)
        return "--interval is of top alone";
    if (c->verb == CTL_RENDER || c->verb == CTL_SEND)
        return rendering_fault(c);
    return c->service || c->rule || c->data || c->event || c->rule_id || c->now_s || *c->message_id
               ? "it takes --json and --config alone (see --help)"
               : NULL;
}

/* Of dlq the options are those of mih-replayer. */
static int parse_dlq(int argc, char **argv, struct ctl_command *c, char *ret_reason, size_t size)
{
    int r = replay_command_parse_dlq(argc, argv, &c->dlq, ret_reason, size);

    c->verb = c->dlq.verb == VERB_HELP      ? CTL_HELP
              : c->dlq.verb == VERB_VERSION ? CTL_VERSION
                                            : CTL_DLQ;
    c->json = c->dlq.json;
    c->config_path = c->dlq.config_path;
    return r;
}

static int parse_options(int argc, char **argv, struct ctl_command *c, char *ret_reason,
                         size_t size)
{
    int option;

    opterr = 0;
    optind = 1;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (option == '?')
            return refuse(ret_reason, size, argv[optind - 1],
                          "option not known, or its value is missing (see --help)");
        if (take_option(c, option, optarg) < 0)
            return refuse(ret_reason, size, optarg, "not a number above 0");
        if (c->verb == CTL_VERSION || c->verb == CTL_HELP)
            return 0;
    }
    return 0;
}

int ctl_command_parse(int argc, char **argv, struct ctl_command *c, char *ret_reason, size_t size)
{
    const struct verb *verb;
    const char *fault;
    int r;

    *c = (struct ctl_command){.verb = CTL_RENDER, .message_id = ""};
    if (argc > 1 && strcmp(argv[1], "dlq") == 0)
        return parse_dlq(argc - 1, argv + 1, c, ret_reason, size);
    r = parse_options(argc, argv, c, ret_reason, size);
    if (r < 0 || c->verb == CTL_VERSION || c->verb == CTL_HELP)
        return r;
    if (optind == argc)
        return refuse(ret_reason, size, "no command", "there are " COMMANDS " (see --help)");
    verb = find_verb(argv[optind]);
    if (!verb)
        return refuse(ret_reason, size, argv[optind],
                      strcmp(argv[optind], "dlq") == 0 ? "must be the first word"
                                                       : "no such command; there are " COMMANDS);
    c->verb = verb->verb;
    r = take_words(c, verb, argv + optind + 1, ret_reason, size);
    fault = r == 0 ? fault_of(c) : NULL;
    if (c->verb == CTL_TOP && c->interval_s == 0)
        c->interval_s = INTERVAL_S;
    return fault ? refuse(ret_reason, size, verb->word, fault) : r;
}
