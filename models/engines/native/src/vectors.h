/* Vectors of LANES floats or integers, and functions of them. */
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__ARM_FEATURE_DOTPROD)
#include <arm_neon.h>
#endif

typedef float floats __attribute__((vector_size(LANES * 4)));
typedef int32_t ints __attribute__((vector_size(LANES * 4)));
typedef uint8_t bytes __attribute__((vector_size(LANES * 4)));

static inline floats load(const float *from) {
    floats value;
    memcpy(&value, from, sizeof value);
    return value;
}

static inline void store(float *to, floats value) { memcpy(to, &value, sizeof value); }

static inline floats splat(float value) { return (floats){0} + value; }

static inline floats choose(ints where, floats yes, floats no) {
    return (floats)(((ints)yes & where) | ((ints)no & ~where));
}

static inline floats larger(floats a, floats b) {
#if defined(__AVX512F__) && LANES == 16
    return (floats)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX__) && LANES == 8
    return (floats)_mm256_max_ps((__m256)a, (__m256)b);
#else
    return choose(a > b, a, b);
#endif
}

static inline floats smaller(floats a, floats b) {
#if defined(__AVX512F__) && LANES == 16
    return (floats)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined(__AVX__) && LANES == 8
    return (floats)_mm256_min_ps((__m256)a, (__m256)b);
#else
    return choose(a < b, a, b);
#endif
}

static inline floats size_of(floats a) { return (floats)((ints)a & 0x7fffffff); }

/* The larger and the smaller one of two sizes, of which `size` has no sign; one instruction if there is such a one. */
static inline floats larger_size(floats size, floats a) {
#if defined(__AVX512DQ__) && LANES == 16
    return (floats)_mm512_range_ps((__m512)size, (__m512)a, 0xb);
#elif defined(__AVX512DQ__) && LANES == 8
    return (floats)_mm256_range_ps((__m256)size, (__m256)a, 0xb);
#else
    return larger(size, size_of(a));
#endif
}

static inline floats smaller_size(floats size, floats a) {
#if defined(__AVX512DQ__) && LANES == 16
    return (floats)_mm512_range_ps((__m512)size, (__m512)a, 0xa);
#elif defined(__AVX512DQ__) && LANES == 8
    return (floats)_mm256_range_ps((__m256)size, (__m256)a, 0xa);
#else
    return smaller(size, size_of(a));
#endif
}

static inline floats root(floats a) {
#if defined(__AVX512F__) && LANES == 16
    return (floats)_mm512_sqrt_ps((__m512)a);
#elif defined(__AVX__) && LANES == 8
    return (floats)_mm256_sqrt_ps((__m256)a);
#else
    for (int i = 0; i < LANES; i++) a[i] = __builtin_sqrtf(a[i]);
    return a;
#endif
}

/* A number of less than 2^22 that this is added to is rounded to the nearest integer, the even one of two, which is
   then in the lowest bits of the sum. */
#define MAGIC 12582912.0f /* 1.5 * 2^23 */

/* e^a for a <= 0, to about 2 units in the last place; 0 below -87. */
static inline floats exponential(floats a) {
    a = larger(a, splat(-87.0f));
    floats shifted = a * 1.44269504f + MAGIC;
    floats whole = shifted - MAGIC;
    floats rest = a - whole * 0.693145752f - whole * 1.42860677e-6f;
    floats sum = rest * 1.38319808e-3f + 8.37512955e-3f;
    sum = sum * rest + 4.16656325e-2f;
    sum = sum * rest + 1.66664178e-1f;
    sum = sum * rest + 5.00000036e-1f;
    sum = sum * rest + 1.0f;
    sum = sum * rest + 1.0f;
    return (floats)((ints)sum + (((ints)shifted - 0x4b400000) << 23));
}

/* x Phi(x), Phi the normal distribution's: max(x, 0) - |x| Phi(-|x|), the last by a polynomial whose largest error is
   the least of its degree: .00004 with the floats' own, where INT8 rounds to steps of .02. */
static inline floats gelu(floats x) {
    floats size = smaller_size(splat(4.4f), x);
    floats p = size * 0x1.e78726p-17f - 0x1.64c054p-12f;
    p = p * size + 0x1.af5cb4p-9f;
    p = p * size - 0x1.0e5dd2p-6f;
    p = p * size + 0x1.5b4b84p-5f;
    p = p * size - 0x1.30ce0ap-5f;
    p = p * size - 0x1.59b186p-5f;
    p = p * size - 0x1.005662p-7f;
    p = p * size + 0x1.993b38p-2f;
    p = p * size - 0x1.ffe9d8p-2f;
    return size * p + larger(x, splat(0));
}

/* Activations are signed bytes, or unsigned ones that are 128 more, as the instruction set multiplies them. */
#if LURCHER_UNSIGNED
#define OFFSET 128
#else
#define OFFSET 0
#endif

static inline bytes load_bytes(const uint8_t *from) {
    bytes value;
    memcpy(&value, from, sizeof value);
    return value;
}

/* `sum` and, for each lane, the products of its four activations and four weights. */
static inline ints dot(ints sum, bytes activations, int32_t weights) {
#if LURCHER_UNSIGNED && LANES == 16
    return (ints)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)activations, _mm512_set1_epi32(weights));
#elif LURCHER_UNSIGNED && defined(__AVX512VNNI__)
    return (ints)_mm256_dpbusd_epi32((__m256i)sum, (__m256i)activations, _mm256_set1_epi32(weights));
#elif LURCHER_UNSIGNED
    return (ints)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)activations, _mm256_set1_epi32(weights));
#elif defined(__AVX2__)
    /* The first operand is unsigned, so signs move to the second. Sums of two products, 2 * 128 * 127 at most, fit 16
       bits, since no weight is -128. */
    __m256i row = _mm256_set1_epi32(weights);
    __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8((__m256i)activations),
                                         _mm256_sign_epi8(row, (__m256i)activations));
    return sum + (ints)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
#elif defined(__ARM_FEATURE_DOTPROD)
    int32x4_t sums[LANES / 4];
    int8x16_t fours[LANES / 4];
    memcpy(sums, &sum, sizeof sums);
    memcpy(fours, &activations, sizeof fours);
    for (int i = 0; i < LANES / 4; i++)
        sums[i] = vdotq_s32(sums[i], fours[i], vreinterpretq_s8_s32(vdupq_n_s32(weights)));
    memcpy(&sum, sums, sizeof sums);
    return sum;
#else
    for (int lane = 0; lane < LANES; lane++)
        for (int i = 0; i < 4; i++)
            sum[lane] += (int8_t)activations[lane * 4 + i] * (int8_t)((uint32_t)weights >> (8 * i));
    return sum;
#endif
}

/* `dot` of the four weights that lie at `weights`. */
static inline ints dot_at(ints sum, bytes activations, const int8_t *weights) {
#if LURCHER_UNSIGNED && defined(__AVX512VNNI__)
    /* In assembly, since compilers load weights by an instruction of its own, which is what then takes the time. */
    typedef int32_t __attribute__((may_alias)) word;
    __asm__("vpdpbusd %2%{1to%c3%}, %1, %0"
            : "+v"(sum)
            : "v"(activations), "m"(*(const word *)weights), "i"(LANES));
    return sum;
#else
    int32_t word;
    memcpy(&word, weights, sizeof word);
    return dot(sum, activations, word);
#endif
}
