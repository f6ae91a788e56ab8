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
    JSON,
    VERSION,
    HELP
};

static const struct option known[] = {
    {"config", required_argument, NULL, CONFIG},
    {"service", required_argument, NULL, SERVICE},
    {"rule", required_argument, NULL, RULE},
    {"data", required_argument, NULL, DATA},
    {"event", required_argument, NULL, EVENT},
    {"rule-id", required_argument, NULL, RULE_ID},
    {"message-id", required_argument, NULL, MESSAGE_ID},
    {"now", required_argument, NULL, NOW},
    {"json", no_argument, NULL, JSON},
    {"version", no_argument, NULL, VERSION},
    {"help", no_argument, NULL, HELP},
    {NULL, 0, NULL, 0},
};

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

static int take_word(struct ctl_command *c, const char *word, char *ret_reason, size_t size)
{
    if (strcmp(word, "render") == 0)
        c->verb = CTL_RENDER;
    else if (strcmp(word, "send") == 0)
        c->verb = CTL_SEND;
    else
        return refuse(ret_reason, size, word, "no such command; there are render and send");
    return 0;
}

/* Which of both sources, and all of it. */
static const char *fault_of(const struct ctl_command *c)
{
    bool files = c->service || c->rule || c->data;

    if (c->rule_id != 0 && files)
        return "--rule-id is of the database, --service, --rule and --data are files: not both";
    if (c->rule_id == 0 && !(c->service && c->rule))
        return "which rule: --rule-id N, or --service FILE --rule FILE";
    return c->event ? NULL : "which event: --event FILE";
}

int ctl_command_parse(int argc, char **argv, struct ctl_command *c, char *ret_reason, size_t size)
{
    const char *fault;
    int option;

    *c = (struct ctl_command){.verb = CTL_RENDER, .message_id = ""};
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
    if (optind == argc)
        return refuse(ret_reason, size, "no command", "there are render and send (see --help)");
    if (take_word(c, argv[optind], ret_reason, size) < 0)
        return -EINVAL;
    if (optind + 1 < argc)
        return refuse(ret_reason, size, argv[optind + 1], "not understood");
    fault = fault_of(c);
    return fault ? refuse(ret_reason, size, argv[optind], fault) : 0;
}
