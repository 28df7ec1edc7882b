/* The fp32 FMA peak of one core in GFLOP/s: twelve independent chains in registers, the fastest of
 * many short loops. "nan" where this is not an x86 processor with FMA. */
#define _POSIX_C_SOURCE 199309L
#include <stdio.h>
#include <time.h>

#if defined(__AVX512F__)
#define REGISTER "zmm"
#define WIDTH 16
#elif defined(__FMA__)
#define REGISTER "ymm"
#define WIDTH 8
#endif

#ifdef WIDTH
#define FMA(i) "vfmadd231ps %%" REGISTER "15, %%" REGISTER "15, %%" REGISTER #i "\n"
#define ZERO(i) "vxorps %%xmm" #i ", %%xmm" #i ", %%xmm" #i "\n"
#define TWELVE(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11)

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static double loop(long turns) {
    const double start = seconds();
    __asm__ volatile(TWELVE(ZERO) ZERO(15) "1:\n" TWELVE(FMA) "dec %0\njnz 1b\nvzeroupper\n"
                     : "+r"(turns)
                     :
                     : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                       "xmm9", "xmm10", "xmm11", "xmm15");
    return seconds() - start;
}

int main(void) {
    const long turns = 20000;
    double best = 1e9;
    for (int round = 0; round < 300; ++round) {
        const double took = loop(turns);
        if (took < best) best = took;
    }
    printf("%.2f\n", 12.0 * 2 * WIDTH * (double)turns / best / 1e9);
    return 0;
}
#else
int main(void) {
    printf("nan\n");
    return 0;
}
#endif
