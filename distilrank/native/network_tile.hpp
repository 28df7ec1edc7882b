// The register tile that all dense layers are made of, and what comes before the first layer.
#pragma once

#include <time.h>

#include "network.hpp"
#include "words.hpp"

namespace distilrank {
namespace {

// The operand whose words are broadcast one by one.
struct Broadcast {
    const float *data;
    int64_t row, depth; // strides
};

// What a tile's result is written as.
enum Form {
    kUnits, // words of neighbouring rows: activations of a block
    kRows,  // words of neighbouring columns: activations of few documents
    kScores // floats
};

template <class Isa>
struct TileCode {
    using Vector = typename Isa::Vector;
    static constexpr int kWidth = Isa::kWidth;
    static constexpr float kMissing = 3.4028234663852886e+38f; // the largest float

    // What a sum starts from: whole numbers are scaled before the bias is added.
    template <class In>
    static Vector initial(Vector bias) {
        return In::kWhole ? Isa::zero() : bias;
    }
    template <class In, class Out>
    static Vector finished(const NetworkLayer &layer, Vector sum, Vector scale, Vector bias) {
        if constexpr (In::kWhole) sum = Isa::fma(Isa::from_whole(sum), scale, bias);
        return Out::clamp(sum, Isa::broadcast(&layer.low), Isa::broadcast(&layer.high));
    }

    // out[r][v] = finished(sum over k of a[r][k] b[k][v]), R rows and V vectors. The layer's output
    // `first` is that of the first column where the result is rows, else that of the first row.
    template <class In, class Out, int R, int V, Form kForm>
    __attribute__((noinline)) static void tile(Broadcast a, const float *b, int64_t b_stride,
                                               const NetworkLayer &layer, int64_t first, float *out,
                                               int64_t out_stride) {
        const float *bias = layer.bias + first, *scale = layer.scale + first;
        const auto of = [](const float *numbers, int r, int v) {
            return kForm == kRows ? Isa::load(numbers + v * kWidth) : Isa::broadcast(numbers + r);
        };
        Vector sum[R][V];
        for (int r = 0; r < R; ++r)
            for (int v = 0; v < V; ++v) sum[r][v] = initial<In>(of(bias, r, v));
        const float *left = a.data;
        for (int64_t k = layer.depth; k > 0; --k) {
            Vector right[V];
            for (int v = 0; v < V; ++v) right[v] = Isa::load(b + v * kWidth);
            for (int r = 0; r < R; ++r) {
                const Vector one = Isa::broadcast(left + r * a.row);
                for (int v = 0; v < V; ++v)
                    sum[r][v] = kForm == kRows ? In::dot(sum[r][v], right[v], one)
                                               : In::dot(sum[r][v], one, right[v]);
            }
            left += a.depth;
            b += b_stride;
        }
        for (int r = 0; r < R; ++r)
            for (int v = 0; v < V; ++v)
                sum[r][v] = finished<In, Out>(layer, sum[r][v], of(scale, r, v), of(bias, r, v));
        if constexpr (kForm == kRows) {
            for (int r = 0; r < R; ++r)
                for (int v = 0; v < V; ++v)
                    Out::store_units(out + r * out_stride + v * (kWidth / Out::kPerWord), sum[r][v]);
        } else {
            constexpr int kStep = kForm == kUnits ? Out::kPerWord : 1;
            for (int r = 0; r + kStep <= R; r += kStep)
                for (int v = 0; v < V; ++v) {
                    Vector units[kStep];
                    for (int u = 0; u < kStep; ++u) units[u] = sum[r + u][v];
                    Isa::store(out + r / kStep * out_stride + v * kWidth,
                               kForm == kUnits ? Out::pack(units) : units[0]);
                }
        }
    }

    // `tile` of `rows` rows, 1 to R.
    template <class In, class Out, int R, int V, Form kForm, typename... Arguments>
    static void tile_of(int64_t rows, const Arguments &...arguments) {
        if constexpr (R > 1)
            if (rows < R) return tile_of<In, Out, R - 1, V, kForm>(rows, arguments...);
        tile<In, Out, R, V, kForm>(arguments...);
    }

    static Vector centred(const Network &network, Vector x, Vector centre, Vector fill) {
        const Vector value = x - centre;
        return network.fill ? Isa::replace(x, Isa::broadcast(&kMissing), value, fill) : value;
    }
};

// Tells the steps of a network apart, where that is asked for.
class Laps {
public:
    explicit Laps(double *seconds) : seconds_(seconds), last_(seconds ? now() : 0) {}
    void next() {
        if (!seconds_) return;
        const double time = now();
        *seconds_++ += time - last_;
        last_ = time;
    }

private:
    static double now() {
        timespec time;
        clock_gettime(CLOCK_MONOTONIC, &time);
        return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
    }
    double *seconds_, last_;
};

inline void swap(float *&one, float *&other) {
    float *const kept = one;
    one = other;
    other = kept;
}

} // namespace
} // namespace distilrank
