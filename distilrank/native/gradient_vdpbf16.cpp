// A batch's gradient for AVX-512 with AVX512_BF16.
#include "gradient_code.hpp"

namespace distilrank {
namespace {

using Isa = Vdpbf16<Avx512>;

} // namespace

const GradientKernels gradient_vdpbf16 = gradient_kernels<Isa, VectorProduct<Isa>>("avx512");

} // namespace distilrank
