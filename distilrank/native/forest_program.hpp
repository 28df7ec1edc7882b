// What a forest becomes for bit-sliced scoring: plain arrays that every instruction set's code reads.
//
// 64 documents are the bits of a word and up to 512 those of a vector of words. Three steps:
//  1. Search: each feature's thresholds are sorted; a document's rank among them, found by binary
//     search, is the bits of its comparisons. From those bits a condition "value > threshold" costs
//     one vector operation for every threshold there is.
//  2. Split: in a tree whose leaves are numbered from left to right, let reach[m] hold the documents
//     whose leaf is m or beyond. The node that parts leaves [from, at) from [at, until) gives
//         reach[at] = reach[until] | (reach[from] & condition).
//     As leaf m's bit flips but one bit of the Gray code, bit b of the leaf's Gray code is the
//     exclusive or of reach[m] over all odd multiples m of 2^b.
//  3. Sum: the Gray code's bits become bytes, bytes look up leaf values, which are whole numbers of
//     a quantum: sums are exact and do not depend on the order or the instruction set.
//
// This header is for files compiled for one instruction set: it includes nothing that has code.
#pragma once

#include <cstddef>
#include <cstdint>

namespace distilrank {

constexpr int kWordBits = 64;
constexpr int kWords = 8;                        // words of the widest block
constexpr int kDocuments = kWords * kWordBits;   // documents of the widest block
constexpr int kLeaves = 256;                     // of the largest tree that a byte tells apart
constexpr int kCodeBits = 8;
constexpr int kSearchBits = 8;
constexpr int kThresholds = (1 << kSearchBits) - 1; // of one search
constexpr int kTogether = 16;                    // trees that are summed together
constexpr int kAhead = 32;                       // nodes whose conditions are fetched ahead
constexpr int kValueBytes = 4;
constexpr int kTile = 16;                        // features that are searched together
constexpr float kZero = 1e-35f;                  // LightGBM's zero

// The search among some thresholds of a feature: `count` of them, conditions `first` and on.
struct ForestSearch {
    int32_t feature, levels, count, first;
    int32_t nan, zero; // conditions "is NaN", "is NaN or zero"; -1 where nobody asks
    int64_t table;     // floats: the search tree, children of e at 2 e and 2 e + 1, root at 1
};

// Condition `to` = `from`, but false (goes left) or true where `missing` holds.
struct ForestRoute {
    int32_t to, from, missing, left;
};

// Offsets are in words of a vector's first lane: a vector of w words stands at w times the offset.
struct ForestNode {
    uint32_t condition;
    uint16_t from, until, at, unused;
};

struct ForestTree {
    int32_t leaves, code_bits;
    int32_t slot;   // reach[slot + m] is the tree's reach[m]
    int32_t unused;
    int64_t values; // where its table of `1 << code_bits` leaf values starts
    int64_t bytes;  // where its 4 * max(64, 1 << code_bits) bytes of values start
};

// Trees whose nodes are mixed, level by level: neighbours do not wait for each other.
struct ForestBundle {
    int32_t first_tree, end_tree, first_node, end_node;
};

struct ForestProgram {
    int32_t n_features, n_trees, n_searches, n_routes, n_bundles;
    const ForestSearch *searches; // sorted by feature
    const float *tables;          // 64-byte aligned, as is every search's table
    const ForestRoute *routes;
    const ForestBundle *bundles;
    const ForestTree *trees;
    const ForestNode *nodes;      // and kAhead more
    const uint32_t *values;      // by Gray code
    const uint8_t *value_bytes;  // the same, byte by byte: all lowest bytes of a tree first
    double quantum, offset;      // score = offset + quantum * sum
};

// Memory for one block; all 64-byte aligned.
struct ForestBuffers {
    float *columns;       // (kTile, kDocuments)
    uint64_t *conditions; // (conditions, words)
    uint64_t *reach;      // (kLeaves + 1, words)
    uint64_t *codes;      // (kTogether, kCodeBits, words)
    uint64_t *sums;       // (kDocuments)
};

// Scores n rows, 1 to kDocuments.
using ForestKernel = void (*)(const ForestProgram &, const ForestBuffers &, const float *rows,
                              int64_t n, int64_t stride, float *scores);

void score_forest_portable(const ForestProgram &, const ForestBuffers &, const float *rows,
                           int64_t n, int64_t stride, float *scores);
#if defined(__x86_64__)
void score_forest_avx2(const ForestProgram &, const ForestBuffers &, const float *rows, int64_t n,
                       int64_t stride, float *scores);
void score_forest_avx512(const ForestProgram &, const ForestBuffers &, const float *rows, int64_t n,
                         int64_t stride, float *scores);
#endif

} // namespace distilrank
