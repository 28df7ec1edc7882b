// A batch's gradient in int8 for AVX-512 with AVX512_VNNI, the first layer in fp32.
#include "gradient_bytes.hpp"

namespace distilrank {
namespace {

using Isa = Vnni<Avx512>;

} // namespace

const GradientKernels gradient_vnni = ByteGradient<Isa, Floats<Isa>>::kernels("avx512");

} // namespace distilrank
