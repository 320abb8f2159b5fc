/*
 * MPI_T's control variables: the FERRY_* variables, to be read.
 */
#include "ferry_impl.h"

/* Called once, in MPI_Init. */
void MPIDI_FERRY_cvar_init(void)
{
    ferry_variable_t variable;

    MPIR_T_cat_add_desc(
        "FERRY",
        "How Ferry carries messages: FERRY_* are set in the environment, ferry_* are counted");
    for (unsigned i = 0; ferry_variable(i, &variable); i++) {
        MPIR_T_cvar_value_t value = {.str = (char *) variable.value};
        MPIR_T_CVAR_REGISTER_impl(MPI_CHAR, variable.name, NULL, (int) strlen(variable.value) + 1,
                                  MPI_T_ENUM_NULL, MPI_T_VERBOSITY_USER_BASIC, MPI_T_BIND_NO_OBJECT,
                                  MPI_T_SCOPE_READONLY, NULL, NULL, value, "FERRY", variable.help);
    }
}
