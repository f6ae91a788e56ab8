/* Configuration files: an error names the place and no secret; a dump reads to the same again. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/conf.h"
#include "tests/fuzz/fuzz.h"
#include "worker/settings.h"

extern char **environ;

#define SECRET "S3CRET"

/* Before the input: a secret that an error further on, or in the same line, could repeat. */
static const char *const before[] = {
    "[database]\npassword = " SECRET "\n[broker]\nurl = amqp://u:" SECRET "@h\n",
    "[database]\npassword = " SECRET,
    "[broker]\nurl = amqp://u:" SECRET,
};

static int load(const char *text, size_t len, struct settings *s, struct conf_error *error)
{
    char path[64];
    int fd = memfd_create("mih.conf", MFD_CLOEXEC);
    if (fd < 0 || write(fd, text, len) != (ssize_t)len)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    *s = (struct settings){0};
    reason_clear(error->text, sizeof error->text);
    int r = conf_load(&settings_table, s, path, error);
    close(fd);
    if (r)
        reason_check(error->text, sizeof error->text);
    return r;
}

static char *dump(const struct settings *s)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    conf_dump(&settings_table, s, out);
    fclose(out);
    return text;
}

static void dump_again(const struct settings *s)
{
    struct settings again;
    struct conf_error error;
    char *once = dump(s);
    for (const char *c = once; *c; c++)
        PROPERTY((unsigned char)*c >= 0x20 || *c == '\n', "control byte in %s", once);
    int r = load(once, strlen(once), &again, &error);
    PROPERTY(r == 0, "%s in the dump:\n%s", error.text, once);
    char *twice = dump(&again);
    PROPERTY(strcmp(once, twice) == 0, "%s\nand\n%s", once, twice);
    conf_release(&settings_table, &again);
    free(once);
    free(twice);
}

/* Neither an error nor a dump tells the secret. */
static void keep_secret(const char *start, const char *input, size_t len)
{
    struct settings s;
    struct conf_error error;
    struct buf file;
    buf_init(&file, (size_t)1 << 20);
    buf_adds(&file, start);
    buf_add(&file, input, len);
    if (load(buf_text(&file), file.len, &s, &error) == 0) {
        char *text = dump(&s);
        PROPERTY(!strstr(text, SECRET) || strstr(input, SECRET), "%s", text);
        free(text);
    } else {
        PROPERTY(!strstr(error.text, SECRET) || strstr(input, SECRET), "%s", error.text);
    }
    conf_release(&settings_table, &s);
    buf_release(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool prepared;
    struct settings s;
    struct conf_error error;
    struct fields f;
    if (!prepared)
        clearenv();
    prepared = true;
    fields_cut(&f, 1, data, size);
    if (load(f.text[0], f.len[0], &s, &error) == 0)
        dump_again(&s);
    conf_release(&settings_table, &s);
    for (size_t i = 0; i < sizeof before / sizeof *before; i++)
        keep_secret(before[i], f.text[0], f.len[0]);
    fields_release(&f);
    return 0;
}
