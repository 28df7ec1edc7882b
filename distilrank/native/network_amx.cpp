// The bf16 and int8 network scorers for AMX, which comes with AVX512_BF16 and AVX512_VNNI.
#include "avx512.hpp"
#include "network_kernels.hpp"
#include "network_tiles.hpp"

namespace distilrank {
namespace {

using Isa = Vnni<Vdpbf16<Avx512>>;

} // namespace

const NetworkKernels network_amx[kNetworkNumbers] = {
    {}, CodeBf16<Isa, AmxTiles>::kernels("amx", "tdpbf16ps"),
    CodeFp32ThenBf16<Isa, AmxTiles>::kernels("amx", "tdpbf16ps"),
    CodeFp32ThenInt8<Isa, AmxTiles>::kernels("amx", "tdpbsud")};

} // namespace distilrank
