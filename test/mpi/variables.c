/*
 * MPI_T shows the FERRY_* variables: variables NAME VALUE fails unless control variable NAME has this value.
 */
#include "check.h"

int main(int argc, char **argv)
{
    int provided, count, index;
    check_start(&argc, &argv, 1);
    CHECK(argc == 3, "usage: variables NAME VALUE");
    MPI_T_init_thread(MPI_THREAD_SINGLE, &provided);
    MPI_T_cvar_get_num(&count);
    int shown = 0;
    for (int i = 0; i < count; i++) {
        char name[128], help[1024];
        int name_length = sizeof(name), help_length = sizeof(help), verbosity, bind, scope;
        MPI_Datatype type;
        MPI_T_enum words;
        MPI_T_cvar_get_info(i, name, &name_length, &verbosity, &type, &words, help, &help_length,
                            &bind, &scope);
        if (strncmp(name, "FERRY_", 6) != 0)
            continue;
        shown++;
        CHECK(help[0] != '\0', "%s is not explained", name);
        CHECK(scope == MPI_T_SCOPE_READONLY, "%s can be written", name);
    }
    CHECK(shown > 10, "%d variables of Ferry", shown);

    CHECK(MPI_T_cvar_get_index(argv[1], &index) == MPI_SUCCESS, "there is no %s", argv[1]);
    MPI_T_cvar_handle handle;
    char value[4096] = "";
    MPI_T_cvar_handle_alloc(index, NULL, &handle, &count);
    CHECK(count <= (int) sizeof(value), "a value of %d characters", count);
    MPI_T_cvar_read(handle, value);
    CHECK(strcmp(value, argv[2]) == 0, "%s is %s, not %s", argv[1], value, argv[2]);
    CHECK(MPI_T_cvar_write(handle, "1") != MPI_SUCCESS, "%s was written", argv[1]);
    MPI_T_cvar_handle_free(&handle);
    MPI_T_finalize();
    return check_end();
}
