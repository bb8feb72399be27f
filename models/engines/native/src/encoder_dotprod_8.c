#define LANES 8
#define LURCHER_UNSIGNED 0
#define LURCHER_TILES 0
#define ENCODE encode_dotprod_8
#include "encoder_template.h"
