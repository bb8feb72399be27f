/* The native library's functions, as programs that test it call them. */
#include <stdint.h>

struct encoder;
int lurcher_level(void);
int lurcher_late(int, const float *, int64_t, int64_t, float, const uint8_t *, int64_t, const int64_t *, int64_t, float,
                 float *, float *);
struct encoder *lurcher_encoder_new(int, const int64_t *);
void lurcher_encoder_free(struct encoder *);
int lurcher_encoder_tables(struct encoder *, const int8_t *, const float *, const float *, const float *, const float *,
                           const float *, const float *, float);
int lurcher_encoder_norm(struct encoder *, int, int, const float *, const float *, float);
int lurcher_encoder_matrix(struct encoder *, int, int, const int8_t *, const float *, const float *, const float *,
                           float, int, int);
int lurcher_encoder_ready(const struct encoder *);
int64_t lurcher_encoder_memory(const struct encoder *, const int64_t *, int64_t);
int lurcher_encode(const struct encoder *, const int64_t *, int64_t, const int64_t *, int64_t, int64_t, int, float *, float *,
                   float *, void *, int64_t);
