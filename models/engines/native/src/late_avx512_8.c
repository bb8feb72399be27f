#define LANES 8
#define LATE late_avx512_8
#include "late_template.h"
