#define LANES 16
#define LATE late_avx512_16
#include "late_template.h"
