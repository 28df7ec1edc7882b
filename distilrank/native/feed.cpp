// What students are trained on: real documents as z-scores, synthetic ones out of midpoints.
#include <cstdint>

#include "distilrank.h"

namespace {

constexpr float kMissing = 3.4028234663852886e+38f; // the largest float
// Documents come from all over a mapped file: they are asked for that far ahead.
constexpr int64_t kAhead = 4, kLine = 64 / sizeof(float);

} // namespace

int64_t distilrank_standardise(const distilrank_zscore *zscore, const float *features,
                               int64_t stride, const int64_t *documents, int64_t n, float *rows) {
    const int64_t width = zscore->n_features;
    const double *const mean = zscore->mean, *const scale = zscore->scale;
    int64_t missing = 0;
    for (int64_t d = 0; d < n; ++d, rows += width) {
        if (d + kAhead < n)
            for (int64_t f = 0; f < width; f += kLine)
                __builtin_prefetch(features + documents[d + kAhead] * stride + f);
        const float *const row = features + documents[d] * stride;
        int32_t absent = 0;
        for (int64_t f = 0; f < width; ++f) {
            absent += row[f] == kMissing;
            rows[f] = static_cast<float>((double{row[f]} - mean[f]) / scale[f]);
        }
        missing += absent;
        if (!absent || !zscore->fill) continue;
        for (int64_t f = 0; f < width; ++f)
            if (row[f] == kMissing)
                rows[f] = static_cast<float>((double{zscore->fill[f]} - mean[f]) / scale[f]);
    }
    return missing;
}

void distilrank_draw(const distilrank_midpoints *midpoints, const uint32_t *random, int64_t n,
                     float *raw, float *rows) {
    const int64_t width = midpoints->n_features;
    for (int64_t d = 0; d < n; ++d, random += width, raw += width, rows += width)
        for (int64_t f = 0; f < width; ++f) {
            const uint64_t place = uint64_t{random[f]} * midpoints->counts[f] >> 32;
            const float *const value = midpoints->values + 2 * (midpoints->starts[f] + place);
            raw[f] = value[0];
            rows[f] = value[1];
        }
}
