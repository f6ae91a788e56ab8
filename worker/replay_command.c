#include "worker/replay_command.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_RATE = 1000000 };

enum option_id {
    ID = 256,
    SERVICE,
    RULE,
    EVENT,
    REASON,
    FROM,
    TO,
    ALL,
    MODE,
    RATE,
    LIMIT,
    DRY_RUN,
    CANARY,
    CANARY_WAIT,
    STOP_AFTER,
    REINDEX,
    JSON,
    WAIT,
    CONFIG,
    CHECK_CONFIG,
    DUMP_CONFIG,
    VERSION,
    HELP,
};

static const struct option known[] = {
    {"id", required_argument, NULL, ID},
    {"service", required_argument, NULL, SERVICE},
    {"rule", required_argument, NULL, RULE},
    {"event", required_argument, NULL, EVENT},
    {"reason", required_argument, NULL, REASON},
    {"from", required_argument, NULL, FROM},
    {"to", required_argument, NULL, TO},
    {"all", no_argument, NULL, ALL},
    {"mode", required_argument, NULL, MODE},
    {"rate", required_argument, NULL, RATE},
    {"limit", required_argument, NULL, LIMIT},
    {"dry-run", no_argument, NULL, DRY_RUN},
    {"canary", no_argument, NULL, CANARY},
    {"canary-wait", required_argument, NULL, CANARY_WAIT},
    {"stop-after", required_argument, NULL, STOP_AFTER},
    {"reindex", no_argument, NULL, REINDEX},
    {"json", no_argument, NULL, JSON},
    {"wait", no_argument, NULL, WAIT},
    {"config", required_argument, NULL, CONFIG},
    {"check-config", no_argument, NULL, CHECK_CONFIG},
    {"dump-config", no_argument, NULL, DUMP_CONFIG},
    {"version", no_argument, NULL, VERSION},
    {"help", no_argument, NULL, HELP},
    {NULL, 0, NULL, 0},
};

/* Where a fault is told. */
struct fault {
    char *reason;
    size_t size;
};

static int refuse(const struct fault *f, const char *option, const char *value,
                  const char *accepted)
{
    snprintf(f->reason, f->size, "%s%s%.80s: %s", option, *value ? " " : "", value, accepted);
    return -EINVAL;
}

static int read_digits(const char **at, int width, int *ret_value)
{
    *ret_value = 0;
    for (int i = 0; i < width; i++, (*at)++) {
        if (**at < '0' || **at > '9')
            return -EINVAL;
        *ret_value = *ret_value * 10 + (**at - '0');
    }
    return 0;
}

/* `separator` and digits; false when something else stands there. */
static bool read_part(const char **at, char separator, int *ret_value)
{
    if (**at != separator)
        return false;
    (*at)++;
    return read_digits(at, 2, ret_value) == 0;
}

static bool read_zone(const char *at, int *ret_minutes)
{
    int sign = *at == '-' ? -1 : 1;
    int hours;
    int minutes = 0;

    *ret_minutes = 0;
    if (*at == '\0' || strcmp(at, "Z") == 0)
        return true;
    if ((*at != '+' && *at != '-') || !read_part(&at, *at, &hours))
        return false;
    if (*at == ':' && !read_part(&at, ':', &minutes))
        return false;
    *ret_minutes = sign * (hours * 60 + minutes);
    return *at == '\0' && hours < 24 && minutes < 60;
}

static bool is_time(const struct tm *t)
{
    struct tm copy = *t;

    return timegm(&copy) != -1 && copy.tm_mon == t->tm_mon && copy.tm_mday == t->tm_mday &&
           t->tm_hour < 24 && t->tm_min < 60 && t->tm_sec < 60;
}

static int read_iso(const char *at, int64_t *ret_s)
{
    struct tm t = {0};
    int zone;

    if (read_digits(&at, 4, &t.tm_year) < 0 || !read_part(&at, '-', &t.tm_mon) ||
        !read_part(&at, '-', &t.tm_mday))
        return -EINVAL;
    if (*at == 'T' || *at == ' ') {
        if (!read_part(&at, *at, &t.tm_hour) || !read_part(&at, ':', &t.tm_min))
            return -EINVAL;
        if (*at == ':' && !read_part(&at, ':', &t.tm_sec))
            return -EINVAL;
    }
    t.tm_year -= 1900;
    t.tm_mon -= 1;
    if (!read_zone(at, &zone) || !is_time(&t))
        return -EINVAL;
    *ret_s = timegm(&t) - zone * INT64_C(60);
    return *ret_s > 0 ? 0 : -EINVAL;
}

static int read_number(const char *text, int64_t max, int64_t *ret_number)
{
    char *end;

    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end || value < 1 || value > max)
        return -EINVAL;
    *ret_number = value;
    return 0;
}

int replay_command_time(const char *text, int64_t *ret_s)
{
    if (strspn(text, "0123456789") == strlen(text))
        return read_number(text, INT64_C(253402300799), ret_s);
    return read_iso(text, ret_s);
}

static int take_text(char *to, size_t size, size_t max_bytes, const char *option,
                     const struct fault *f)
{
    if (!*optarg || strlen(optarg) > max_bytes)
        return refuse(f, option, optarg, "a text that is not empty and not too long is accepted");
    snprintf(to, size, "%s", optarg);
    return 0;
}

static int take_number(int64_t max, const char *option, int64_t *ret_number, const struct fault *f)
{
    return read_number(optarg, max, ret_number) == 0
               ? 0
               : refuse(f, option, optarg, "a number from 1 is accepted");
}

static int take_time(const char *option, int64_t *ret_s, const struct fault *f)
{
    return replay_command_time(optarg, ret_s) == 0
               ? 0
               : refuse(f, option, optarg,
                        "a time such as 2026-11-25T08:30:00Z, or Unix seconds, is accepted");
}

static int take_mode(struct replay *r, const struct fault *f)
{
    r->as_sent = strcmp(optarg, "sent") == 0;
    return r->as_sent || strcmp(optarg, "render") == 0
               ? 0
               : refuse(f, "--mode", optarg, "sent or render is accepted");
}

static int take_filter(struct replay_filter *r, int option, const struct fault *f)
{
    switch (option) {
    case ID:
        return take_text(r->message_id, sizeof r->message_id, sizeof r->message_id - 1, "--id", f);
    case RULE:
        return take_number(INT32_MAX, "--rule", &r->rule_id, f);
    case EVENT:
        return take_text(r->event_name, sizeof r->event_name, sizeof r->event_name - 1, "--event",
                         f);
    case REASON:
        return take_text(r->reason, sizeof r->reason, 255, "--reason", f);
    case FROM:
        return take_time("--from", &r->from_s, f);
    case TO:
        return take_time("--to", &r->to_s, f);
    default:
        return -ENOENT;
    }
}

static int take_limit(struct replay_command *c, int option, const struct fault *f)
{
    switch (option) {
    case MODE:
        return take_mode(&c->replay, f);
    case RATE:
        return take_number(MAX_RATE, "--rate", &c->replay.rate, f);
    case LIMIT:
        return take_number(INT32_MAX, "--limit", &c->replay.max_count, f);
    case CANARY_WAIT:
        c->replay.canary = true;
        return take_number(86400, "--canary-wait", &c->canary_wait_s, f);
    case STOP_AFTER:
        return take_number(INT32_MAX, "--stop-after", &c->replay.stop_after, f);
    default:
        return -ENOENT;
    }
}

static int take_flag(struct replay_command *c, int option)
{
    switch (option) {
    case ALL:
        c->all = true;
        return 0;
    case DRY_RUN:
        c->replay.dry_run = true;
        return 0;
    case CANARY:
        c->replay.canary = true;
        return 0;
    case JSON:
        c->json = true;
        return 0;
    case WAIT:
        c->wait = true;
        return 0;
    case CONFIG:
        c->config_path = optarg;
        return 0;
    case SERVICE:
        c->service = optarg;
        return 0;
    default:
        return -ENOENT;
    }
}

static int take_verb(struct replay_command *c, int option)
{
    static const enum replay_verb verbs[] = {
        [REINDEX - ID] = VERB_REINDEX,
        [CHECK_CONFIG - ID] = VERB_CHECK_CONFIG,
        [DUMP_CONFIG - ID] = VERB_DUMP_CONFIG,
        [VERSION - ID] = VERB_VERSION,
        [HELP - ID] = VERB_HELP,
    };

    c->verb = verbs[option - ID];
    return 0;
}

static int take_option(struct replay_command *c, int option, const struct fault *f)
{
    int r = take_filter(&c->replay.filter, option, f);

    if (r == -ENOENT)
        r = take_limit(c, option, f);
    if (r == -ENOENT)
        r = take_flag(c, option);
    return r == -ENOENT ? take_verb(c, option) : r;
}

static int take_word(struct replay_command *c, const char *word, const struct fault *f)
{
    static const struct {
        const char *word;
        enum replay_verb verb;
    } words[] = {{"replay", VERB_REPLAY}, {"discard", VERB_DISCARD},   {"reindex", VERB_REINDEX},
                 {"list", VERB_LIST},     {"withdraw", VERB_WITHDRAW}, {"show", VERB_SHOW}};

    if (c->verb == VERB_WITHDRAW && c->replay.id == 0)
        return read_number(word, INT64_MAX, &c->replay.id) == 0
                   ? 0
                   : refuse(f, "withdraw", word, "the number of a replay is accepted");
    if (c->verb == VERB_SHOW && !*c->replay.filter.message_id &&
        strlen(word) < sizeof c->replay.filter.message_id) {
        snprintf(c->replay.filter.message_id, sizeof c->replay.filter.message_id, "%s", word);
        return 0;
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(word, words[i].word) == 0 && c->verb == VERB_DAEMON) {
            c->verb = words[i].verb;
            return 0;
        }
    }
    return refuse(f, "command", word,
                  "replay, discard, reindex, list or withdraw is accepted, once");
}

/* Rows are dropped only after a look at all letters, so reindex takes them all. */
static int check_reindex(const struct replay_command *c, const struct fault *f)
{
    if (c->verb != VERB_REINDEX)
        return 0;
    if (!replay_filter_is_empty(&c->replay.filter))
        return refuse(f, "reindex", "", "only --service is accepted with it");
    if (c->replay.max_count > 0)
        return refuse(f, "reindex", "", "--limit is not accepted with it: it takes all letters");
    return 0;
}

/* Somebody who adds one of these wants caution, and would not get it. */
static int check_replay_only(const struct replay_command *c, const struct fault *f)
{
    const struct replay *r = &c->replay;
    const char *option = r->canary           ? "--canary"
                         : r->stop_after > 0 ? "--stop-after"
                         : !r->as_sent       ? "--mode render"
                                             : NULL;

    if (!option || c->verb == VERB_REPLAY)
        return 0;
    return refuse(f, option, "", "only replay knows it");
}

static int check_withdraw(const struct replay_command *c, const struct fault *f)
{
    bool alone = replay_filter_is_empty(&c->replay.filter) && !c->service && !c->all;

    if (c->verb != VERB_WITHDRAW || (c->replay.id > 0 && alone))
        return 0;
    return refuse(f, "withdraw", "", "the number of a replay, and nothing else, is accepted");
}

/* What does not go together. */
static int check(const struct replay_command *c, const struct fault *f)
{
    const struct replay *r = &c->replay;
    bool filtered = !replay_filter_is_empty(&r->filter) || c->service;
    bool removes = c->verb == VERB_REPLAY || c->verb == VERB_DISCARD;
    int result;

    if (removes && !filtered && !c->all)
        return refuse(f, "no letters are named", "", "say which ones, or --all (see --help)");
    if (filtered && c->all)
        return refuse(f, "--all", "", "not together with a filter");
    if (c->verb == VERB_DAEMON && (filtered || c->all))
        return refuse(f, "no command", "", "replay, discard, reindex or list must be said");
    if (r->filter.to_s != 0 && r->filter.to_s < r->filter.from_s)
        return refuse(f, "--to", "", "is before --from");
    result = check_withdraw(c, f);
    result = result < 0 ? result : check_replay_only(c, f);
    return result < 0 ? result : check_reindex(c, f);
}

static int parse(int argc, char **argv, struct replay_command *c, const struct fault *f)
{
    int option;
    int r = 0;

    *c = (struct replay_command){.replay = {.as_sent = true, .rate = REPLAY_RATE}};
    opterr = 0;
    optind = 1;
    while (r == 0 && (option = getopt_long(argc, argv, "", known, NULL)) != -1)
        r = option == '?' ? refuse(f, "option", argv[optind - 1],
                                   "not known, or its value is missing (see --help)")
                          : take_option(c, option, f);
    for (; r == 0 && optind < argc; optind++)
        r = take_word(c, argv[optind], f);
    c->replay.action = c->verb == VERB_DISCARD   ? REPLAY_DISCARD
                       : c->verb == VERB_REINDEX ? REPLAY_REINDEX
                                                 : REPLAY_REPLAY;
    return r;
}

int replay_command_parse(int argc, char **argv, struct replay_command *ret_command,
                         char *ret_reason, size_t size)
{
    const struct fault f = {ret_reason, size};
    int r = parse(argc, argv, ret_command, &f);

    if (r == 0 && (ret_command->verb == VERB_SHOW || ret_command->wait))
        r = refuse(&f, ret_command->wait ? "--wait" : "show", "", "is of mihctl dlq");
    return r == 0 ? check(ret_command, &f) : r;
}

/* The daemon has its own settings, and only it can look into the queues. */
static int check_dlq(const struct replay_command *c, const struct fault *f)
{
    bool asks = c->verb == VERB_REPLAY || c->verb == VERB_DISCARD;

    if (!asks && c->verb != VERB_LIST && c->verb != VERB_SHOW && c->verb != VERB_HELP &&
        c->verb != VERB_VERSION)
        return refuse(f, "dlq", "", "list, show, replay or discard must be said");
    if (c->verb == VERB_SHOW && !*c->replay.filter.message_id)
        return refuse(f, "show", "", "which message: its id");
    if (c->wait && !asks)
        return refuse(f, "--wait", "", "only together with replay or discard");
    if (c->canary_wait_s > 0)
        return refuse(f, "--canary-wait", "", "the daemon waits for [replayer] canary_wait");
    return 0;
}

int replay_command_parse_dlq(int argc, char **argv, struct replay_command *ret_command,
                             char *ret_reason, size_t size)
{
    const struct fault f = {ret_reason, size};
    int r = parse(argc, argv, ret_command, &f);

    if (r == 0)
        r = check_dlq(ret_command, &f);
    return r == 0 ? check(ret_command, &f) : r;
}
