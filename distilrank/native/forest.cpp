// The forest scorer: few documents walk the trees, more go by the block.
#include <algorithm>
#include <memory>
#include <string>

#include "cpu.hpp"
#include "forest_model.hpp"
#include "scorer.hpp"

namespace distilrank {
namespace {

// From so many documents on a block is faster than walks.
constexpr int64_t kWalks = 7;

struct ForestModel {
    WalkModel walk;
    std::unique_ptr<const BlockModel> block; // none: `why_no_block`
    std::string why_no_block;
    distilrank_level level = DISTILRANK_PORTABLE;
    ForestKernel kernel = score_forest_portable;
    int64_t n_features, n_trees, max_leaves;

    ForestModel(const distilrank_forest &forest, const distilrank_options &options)
        : walk(forest), n_features(forest.n_features), n_trees(forest.n_trees) {
        const LeafRanges ranges(forest);
        max_leaves = ranges.most;
        why_no_block = BlockModel::unsuited(forest, ranges);
        if (why_no_block.empty()) block = std::make_unique<BlockModel>(forest, ranges);
        choose(usable_level(distilrank_level(options.level)));
    }

    void choose(distilrank_level most) {
#if defined(__x86_64__)
        const bool bytes = __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("gfni");
        if (most >= DISTILRANK_AVX512 && bytes) {
            level = DISTILRANK_AVX512;
            kernel = score_forest_avx512;
        } else if (most >= DISTILRANK_AVX2) {
            level = DISTILRANK_AVX2;
            kernel = score_forest_avx2;
        }
#else
        (void)most;
#endif
    }
};

class ForestScorer final : public Scorer {
public:
    explicit ForestScorer(std::shared_ptr<const ForestModel> model)
        : model_(std::move(model)), clean_(size_t(kWalkDocuments * model_->n_features)) {
        if (!model_->block) return;
        program_ = model_->block->program();
        const size_t conditions = model_->block->n_conditions();
        columns_.resize(size_t{kTile} * kDocuments);
        words_.resize(kWords * (kLeaves + 1 + kTogether * kCodeBits) + kDocuments);
        conditions_.reset(new Condition[conditions]);
        buffers_.columns = columns_.data();
        buffers_.conditions = reinterpret_cast<uint64_t *>(conditions_.get());
        buffers_.reach = words_.data();
        buffers_.codes = buffers_.reach + kWords * (kLeaves + 1);
        buffers_.sums = buffers_.codes + kWords * kTogether * kCodeBits;
    }

    void score(const float *rows, int64_t n, int64_t stride, float *scores) noexcept override {
        while (n > 0) {
            if (!model_->block || n < kWalks) {
                walk_forest(model_->walk.forest(), rows, n, stride, clean_.data(), scores);
                return;
            }
            const int64_t now = std::min(n, int64_t{kDocuments});
            model_->kernel(program_, buffers_, rows, now, stride, scores);
            n -= now;
            rows += now * stride;
            scores += now;
        }
    }

    std::unique_ptr<Scorer> clone() const override { return std::make_unique<ForestScorer>(model_); }

    int64_t n_features() const override { return model_->n_features; }

    std::string describe() const override {
        const bool block = model_->block != nullptr;
        std::string text = "{\"kind\": \"forest\", \"level\": \"";
        text += block ? level_name(model_->level) : level_name(DISTILRANK_PORTABLE);
        text += "\", \"precision\": \"exact\", \"trees\": " + std::to_string(model_->n_trees) +
                ", \"max_leaves\": " + std::to_string(model_->max_leaves) + ", \"method\": ";
        if (block)
            text += "\"bit-sliced blocks, walks below " + std::to_string(kWalks) + " documents\"" +
                    ", \"conditions\": " + std::to_string(model_->block->n_conditions());
        else
            text += "\"walks: " + model_->why_no_block + "\"";
        return text + "}";
    }

private:
    std::shared_ptr<const ForestModel> model_;
    ForestProgram program_{};
    ForestBuffers buffers_{};
    Aligned<float> columns_;
    // A megabyte for a large forest, which every call writes before it reads: not cleared.
    struct alignas(64) Condition {
        uint64_t words[kWords];
    };
    std::unique_ptr<Condition[]> conditions_;
    Aligned<uint64_t> words_;
    std::vector<float> clean_;
};

} // namespace

std::unique_ptr<Scorer> make_forest(const distilrank_forest &forest,
                                    const distilrank_options &options) {
    check_forest(forest);
    return std::make_unique<ForestScorer>(std::make_shared<const ForestModel>(forest, options));
}

} // namespace distilrank
