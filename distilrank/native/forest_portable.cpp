// Bit-sliced forests for any processor.
#include "forest_block.hpp"

namespace distilrank {

void score_forest_portable(const ForestProgram &program, const ForestBuffers &buffers,
                           const float *rows, int64_t n, int64_t stride, float *scores) {
    score_forest<PortableForest>(program, buffers, rows, n, stride, scores);
}

} // namespace distilrank
