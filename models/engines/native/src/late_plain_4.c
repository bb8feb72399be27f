#define LANES 4
#define LATE late_plain_4
#include "late_template.h"
