/* Which instruction sets this machine has. */
#include "levels.h"

#if defined(__x86_64__)
#include <cpuid.h>

static unsigned long long enabled_states(void) {
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (unsigned long long)high << 32 | low;
}

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>

/* Linux lets a process use AMX's tiles once it has asked to. */
static int may_use_tiles(void) {
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}
#else
static int may_use_tiles(void) { return 0; }
#endif

static int has_avxvnni(void) {
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && a >= 1 &&
           __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
}

/* AVX-VNNI is no part of AVX-512: some processors have that and not this. */
static int lacks(int level) { return level == AVXVNNI && !has_avxvnni(); }

static int find_level(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return PLAIN;
    const unsigned fma = 1u << 12, osxsave = 1u << 27, avx = 1u << 28;
    if ((c & (fma | osxsave | avx)) != (fma | osxsave | avx)) return PLAIN;
    unsigned long long states = enabled_states();
    if ((states & 0x6) != 0x6) return PLAIN;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return PLAIN;
    if (!(b >> 5 & 1) || !(b >> 8 & 1)) return PLAIN; /* AVX2, BMI2 */
    const unsigned amx = d;
    const unsigned wide = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31; /* F, DQ, BW, VL */
    if ((b & wide) == wide && (c >> 11 & 1) && (states & 0xe0) == 0xe0) {
        const unsigned tiles = 1u << 24 | 1u << 25; /* TILE, INT8 */
        if ((amx & tiles) == tiles && (states & 0x60000) == 0x60000 && may_use_tiles()) return AMX;
        return AVX512;
    }
    return has_avxvnni() ? AVXVNNI : AVX2;
}
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>

static int find_level(void) {
    const unsigned long dot_product = 1ul << 20; /* HWCAP_ASIMDDP */
    return getauxval(AT_HWCAP) & dot_product ? DOTPROD : PLAIN;
}
#elif defined(__aarch64__) && defined(__APPLE__)
static int find_level(void) { return DOTPROD; } /* every one of these has it */
#else
static int find_level(void) { return PLAIN; }
#endif

#if !defined(__x86_64__)
static int lacks(int level) { (void)level; return 0; }
#endif

/* Several threads may find it at once; they find the same. */
API int lurcher_level(void) {
    static volatile int found = -1;
    if (found < 0) found = find_level();
    return found;
}

/* Whether this machine has the level of this number, which may be below its own. */
API int lurcher_has(int level) { return 0 <= level && level <= lurcher_level() && !lacks(level); }

/* Raised when an argument of any function changes, so that a library left from before is refused. */
API int lurcher_abi(void) { return 2; }
