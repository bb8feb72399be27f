#define LANES 8
#define LATE late_avx2_8
#include "late_template.h"
