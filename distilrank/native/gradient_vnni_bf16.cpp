// A batch's gradient in int8 for AVX-512 with AVX512_VNNI, the first layer in bf16 with AVX512_BF16.
#include "gradient_bytes.hpp"

namespace distilrank {
namespace {

using Isa = Vdpbf16<Vnni<Avx512>>;

} // namespace

const GradientKernels gradient_vnni_bf16 = ByteGradient<Isa, Pairs<Isa>>::kernels("avx512 and bf16");

} // namespace distilrank
