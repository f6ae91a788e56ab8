/*
 * mih-test-settings: prints the table of mih-worker's settings in Markdown, as the README has it
 * (tests/lint/run --write-readme).
 */
#include <stdio.h>

#include "worker/settings.h"

int main(void)
{
    conf_document(&settings_table, stdout);
    return fflush(stdout) == 0 ? 0 : 1;
}
