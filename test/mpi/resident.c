/*
 * resident [FILE]: how much memory of its own, and of what it shares, a rank has while it has talked to nobody. Rank 0
 * writes that into FILE, in KiB.
 */
#include "check.h"

int main(int argc, char **argv)
{
    long anonymous = 0, shared = 0;
    char line[256];
    FILE *file;

    check_start(&argc, &argv, 1);
    file = fopen("/proc/self/status", "r");
    CHECK(file != NULL, "no /proc/self/status");
    while (fgets(line, sizeof(line), file) != NULL) {
        sscanf(line, "RssAnon: %ld", &anonymous);
        sscanf(line, "RssShmem: %ld", &shared);
    }
    fclose(file);
    CHECK(anonymous > 0, "the kernel does not tell");
    if (check_rank == 0 && argc > 1) {
        file = fopen(argv[1], "w");
        CHECK(file != NULL, "%s can't be written", argv[1]);
        fprintf(file, "%ld\n", anonymous + shared);
        fclose(file);
    }
    return check_end();
}
