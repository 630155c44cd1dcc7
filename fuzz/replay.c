/* replay.c - main() for a fuzz target without libFuzzer: each file of a folder is one input.
 *
 * The corpus is worth as much as the last run over it, so it runs with the unit tests. Prints what
 * cmocka would, for the totals of ./dev test. A crash is the failure; an empty corpus is one too.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_BYTES_MAX ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/** Runs one file. returns 0, -1 when it cannot be read */
static int replay_file(const char *folder_z, const char *name_z)
{
    char path_z[4096];
    int path_len = snprintf(path_z, sizeof(path_z), "%s/%s", folder_z, name_z);
    if (path_len < 0 || (size_t)path_len >= sizeof(path_z))
        return -1;
    FILE *file = fopen(path_z, "rb");
    if (!file)
        return -1;
    uint8_t *data = malloc(INPUT_BYTES_MAX);
    size_t len = data ? fread(data, 1, INPUT_BYTES_MAX, file) : 0;
    fclose(file);

    /* a copy of the exact size: reading past the end is then an ASan report */
    uint8_t *exact = data ? malloc(len > 0 ? len : 1) : NULL;
    if (exact) {
        memcpy(exact, data, len);
        (void)LLVMFuzzerTestOneInput(exact, len); /* always 0 by libFuzzer's contract */
    }
    free(exact);
    free(data);
    return exact ? 0 : -1;
}

int main(int argc, char **argv)
{
    DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
    if (!folder) {
        fprintf(stderr, "usage: replay FOLDER (one input per file)\n");
        return 2;
    }
    int failed = 0, passed = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        int rc = replay_file(argv[1], entry->d_name);
        if (rc != 0)
            fprintf(stderr, "%s: cannot be replayed\n", entry->d_name);
        failed += rc != 0;
        passed += rc == 0;
    }
    closedir(folder);
    printf("%d inputs replayed\n", passed);
    return failed > 0 || passed == 0;
}
