// A batch's gradient in fp32 for AVX-512.
#include "gradient_code.hpp"

namespace distilrank {
namespace {

using Isa = Avx512;
using Code = GradientCode<Isa, Floats<Isa>, VectorProduct<Isa, Floats<Isa>>>;

} // namespace

const GradientKernels gradient_avx512 = Code::kernels("avx512");

} // namespace distilrank
