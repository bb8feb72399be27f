#define LANES 16
#define LURCHER_UNSIGNED 1
#define LURCHER_TILES 1
#define ENCODE encode_amx_16
#include "encoder_template.h"
