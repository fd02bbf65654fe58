// The product.
#include <string.h>

#include "gateway/auth/json_memory.h"
#include "gateway/cli/cli.h"
#include "gateway/doctor/doctor.h"

int main(int argument_count, char **arguments) {
    json_memory_init();
    // A room of the command line's own level, so it is chosen here.
    if (argument_count > 1 && strcmp(arguments[1], "doctor") == 0) {
        return doctor_main(argument_count, arguments);
    }
    return cli_main(argument_count, arguments);
}
