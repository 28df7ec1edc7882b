#include "cpu.hpp"

#if defined(__x86_64__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace distilrank {
namespace {

#if defined(__x86_64__)

bool has_bf16() { return __builtin_cpu_supports("avx512bf16"); }
bool has_vnni() { return __builtin_cpu_supports("avx512vnni"); }

#ifdef DISTILRANK_TILE_MODEL
bool has_tiles() { return true; }
bool has_slow_bf16() { return false; } // so that what a quick one is used for is tested too
#else
// Register EDX of cpuid's leaf 7: extensions that not every compiler has a name for.
unsigned extensions() {
    unsigned a = 7, b, c = 0, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return d;
}

// Intel's cores since Sapphire Rapids, told by their float16, do one `vdpbf16ps` in two cycles and
// two `vfmadd` in one.
bool has_slow_bf16() {
    constexpr unsigned kFloat16 = 1u << 23;
    return __builtin_cpu_is("intel") && (extensions() & kFloat16);
}

// Linux gives tile registers to a process that asks for them (arch_prctl, since 5.16).
bool may_use_tiles() {
    constexpr long kRequestPermission = 0x1023, kTileData = 18;
    return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

bool has_tiles() {
    constexpr unsigned kBf16 = 1u << 22, kTile = 1u << 24, kInt8 = 1u << 25;
    constexpr unsigned kAll = kBf16 | kTile | kInt8;
    return (extensions() & kAll) == kAll && may_use_tiles();
}
#endif

distilrank_level best_level() {
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                        __builtin_cpu_supports("avx512vl");
    // Every processor with AMX has both extensions; the kernels count on it.
    if (avx512 && has_bf16() && has_vnni() && has_tiles()) return DISTILRANK_AMX;
    return avx512 ? DISTILRANK_AVX512 : avx2 ? DISTILRANK_AVX2 : DISTILRANK_PORTABLE;
}

#else

bool has_bf16() { return false; }
bool has_slow_bf16() { return false; }
bool has_vnni() { return false; }

distilrank_level best_level() { return DISTILRANK_PORTABLE; }

#endif

bool has_avx512() { return usable_level(DISTILRANK_BEST) >= DISTILRANK_AVX512; }

} // namespace

distilrank_level usable_level(distilrank_level most) {
    static const distilrank_level best = best_level();
    return most == DISTILRANK_BEST || most > best ? best : most;
}

bool has_avx512_bf16() {
    static const bool has = has_avx512() && has_bf16();
    return has;
}

bool has_quick_bf16() {
    static const bool has = has_avx512_bf16() && !has_slow_bf16();
    return has;
}

bool has_avx512_vnni() {
    static const bool has = has_avx512() && has_vnni();
    return has;
}

const char *level_name(distilrank_level level) {
    switch (level) {
    case DISTILRANK_AMX: return "amx";
    case DISTILRANK_AVX512: return "avx512";
    case DISTILRANK_AVX2: return "avx2";
    default: return "portable";
    }
}

} // namespace distilrank
