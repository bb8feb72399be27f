#define LANES 8
#define LURCHER_UNSIGNED 1
#define LURCHER_TILES 0
#define ENCODE encode_avx512_8
#include "encoder_template.h"
