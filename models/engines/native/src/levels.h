#ifndef LURCHER_LEVELS_H
#define LURCHER_LEVELS_H
#include "native.h"
/* The fastest instruction set that the library has kernels for and this machine can run. */
API int lurcher_level(void);
#endif
