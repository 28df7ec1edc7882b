// A batch's gradient in bf16 for AVX-512 with AVX512_BF16.
#include "gradient_code.hpp"

namespace distilrank {
namespace {

using Isa = Vdpbf16<Avx512>;
using Code = GradientCode<Isa, Pairs<Isa>, VectorProduct<Isa, Pairs<Isa>>>;

} // namespace

const GradientKernels gradient_vdpbf16 = Code::kernels("avx512");

} // namespace distilrank
