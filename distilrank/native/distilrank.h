/* The C interface of libdistilrank. distilrank/native.py and distilrank/scorer.py bind it.
 *
 * No function throws, prints or keeps a pointer that it was handed, except distilrank_letor_feed.
 * Objects are used by one thread at a time; different objects by different threads freely.
 */
#ifndef DISTILRANK_H
#define DISTILRANK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DISTILRANK_API __attribute__((visibility("default")))

/* Goes up by one with every change of this file that an older binding would not understand. */
#define DISTILRANK_ABI 7
DISTILRANK_API int32_t distilrank_abi(void);

/* ---- The LETOR parser: bytes in, cut anywhere; whole documents out ----
 *
 *     parser = distilrank_letor_create(136, 1 << 24, 0, -1);
 *     for each block of the file:
 *         distilrank_letor_feed(parser, block, size);
 *         while ((rows = distilrank_letor_rows(parser, capacity, features, labels, qids)) > 0)
 *             use them;
 *     distilrank_letor_finish(parser), then rows() again until it gives 0
 *     distilrank_letor_destroy(parser)
 *
 * A line is `label qid:Q id:value id:value ... # comment`. Features that are not named are 0.
 * Values are rounded to the nearest double and that to the nearest float, as Python's float() and
 * NumPy do; what reads as the largest double, Istella's missing value, becomes the largest float.
 * Memory: the lines at the edges of what was fed, the rest is parsed where it lies; and the ids of
 * the queries.
 */
typedef struct distilrank_letor distilrank_letor;

/* What is wrong with a line. The order is that of PROBLEMS in distilrank/letor.py. */
enum distilrank_letor_problem {
    DISTILRANK_LETOR_FINE,
    DISTILRANK_LETOR_LABEL,   /* not a whole number from 0 to 255 */
    DISTILRANK_LETOR_NO_QID,  /* nothing after the label */
    DISTILRANK_LETOR_QID,     /* not qid:<whole number below 2^63> */
    DISTILRANK_LETOR_ID,      /* a feature id that is none, or not from 1 to n_features */
    DISTILRANK_LETOR_NUMBER,  /* a value that is no number */
    DISTILRANK_LETOR_RANGE,   /* NaN, infinite, or beyond the largest float; but see above */
    DISTILRANK_LETOR_TWICE,   /* a feature id stands twice */
    DISTILRANK_LETOR_BACK,    /* a query comes back after other queries */
    DISTILRANK_LETOR_LONG,    /* a line of more than longest_line bytes */
    DISTILRANK_LETOR_MEMORY   /* no memory left */
};

/* Where parsing stopped. `text` is the start of the token at fault (of the query's id, for BACK),
 * at most 40 bytes, and lives until the parser is destroyed. */
typedef struct {
    int32_t problem;
    int64_t line; /* from 1 */
    const char *text;
    size_t size;
} distilrank_letor_error;

/* The ways through the text, slowest first: each gives the same rows and errors. */
enum distilrank_letor_level {
    DISTILRANK_LETOR_GENERAL, /* the general path alone */
    DISTILRANK_LETOR_BASE,    /* what every processor of this kind can do */
    DISTILRANK_LETOR_AVX512   /* AVX-512 with VBMI2: Intel from Ice Lake on, AMD from Zen 4 on */
};

/* The highest level that this processor can take. */
DISTILRANK_API int32_t distilrank_letor_best_level(void);

/* NULL where there is no memory for it. With `returning` not 0 a query may come back after others.
 * `level` is for tests: one above the best, or -1, stands for the best. */
DISTILRANK_API distilrank_letor *distilrank_letor_create(int64_t n_features, int64_t longest_line,
                                                         int32_t returning, int32_t level);

/* Take `size` more bytes, which must stay as they are until rows() gives 0 or -1. 0, or -1 on an
 * error. */
DISTILRANK_API int32_t distilrank_letor_feed(distilrank_letor *, const char *bytes, size_t size);

/* No more bytes will come: the last line may lack its end. 0, or -1 on an error. */
DISTILRANK_API int32_t distilrank_letor_finish(distilrank_letor *);

/* Write the next at most `capacity` documents: features (capacity, n_features) row after row,
 * labels and qids (capacity). Gives how many; 0 where more bytes are needed, and only then; -1 on
 * an error, which stays. */
DISTILRANK_API int64_t distilrank_letor_rows(distilrank_letor *, int64_t capacity, float *features,
                                             uint8_t *labels, int64_t *qids);

DISTILRANK_API distilrank_letor_error distilrank_letor_problem_of(const distilrank_letor *);

DISTILRANK_API void distilrank_letor_destroy(distilrank_letor *);

/* ---- Scorers: a forest or a network behind one handle ----
 *
 *     scorer = distilrank_scorer_forest(&forest, NULL, error, sizeof error);
 *     distilrank_scorer_score(scorer, rows, n, stride, scores);
 *     distilrank_scorer_destroy(scorer);
 *
 * Creating does all allocation; scoring allocates nothing. A handle is used by one thread at a
 * time: make a clone for each thread, which shares the model and has buffers of its own.
 * Failures give a status other than 0, or NULL, and a sentence in `error` (of `size` bytes, always
 * ended by NUL; may be NULL with size 0).
 */
typedef struct distilrank_scorer distilrank_scorer;

/* How far a scorer may go; what the processor lacks is never used. */
enum distilrank_level {
    DISTILRANK_BEST, /* whatever this processor has */
    DISTILRANK_PORTABLE,
    DISTILRANK_AVX2,
    DISTILRANK_AVX512, /* F, BW, DQ, VL */
    DISTILRANK_AMX     /* AVX-512 with AMX tiles */
};

enum distilrank_precision { DISTILRANK_FP32, DISTILRANK_BF16, DISTILRANK_INT8 };

/* All zeros, or no options at all (NULL), is the default. */
typedef struct {
    int32_t level;     /* enum distilrank_level */
    int32_t precision; /* enum distilrank_precision; networks only */
} distilrank_options;

/* Bits of distilrank_forest.route. With none of them NaN is scored as 0, as LightGBM does. */
#define DISTILRANK_DEFAULT_LEFT 1    /* a missing value goes left, else right */
#define DISTILRANK_ZERO_IS_MISSING 2 /* |x| <= 1e-35 and NaN are missing */
#define DISTILRANK_NAN_IS_MISSING 4

/* Binary regression trees, one after the other: a tree of k nodes has k + 1 leaves. A row goes left
 * where row[feature] <= threshold. A child is a node of the same tree, or ~leaf. A row's score is
 * the sum of one leaf's value a tree. Node 0 is the root; children stand after their parents. */
typedef struct {
    int64_t n_features, n_trees;
    const int64_t *n_nodes;   /* (n_trees) */
    const int32_t *feature;   /* (nodes of all trees) */
    const double *threshold;  /* (nodes) */
    const int32_t *left, *right; /* (nodes) */
    const uint8_t *route;     /* (nodes) bits above; NULL: none anywhere */
    const double *value;      /* (leaves of all trees) */
} distilrank_forest;

/* relu6 after every layer but the last, which has one output. z = (row - mean) / scale comes first.
 * A missing feature (the largest float) is first replaced by its `fill`. */
typedef struct {
    int64_t n_layers;
    const int64_t *widths;       /* (n_layers + 1): features, hidden layers' outputs, 1 */
    const float *const *weights; /* (n_layers) of (outputs, inputs), row after row; zeros are skipped */
    const float *const *biases;  /* (n_layers) of (outputs) */
    const double *mean, *scale;  /* (features) */
    const float *fill;           /* (features), or NULL: nothing is missing */
} distilrank_network;

DISTILRANK_API distilrank_scorer *distilrank_scorer_forest(const distilrank_forest *,
                                                           const distilrank_options *, char *error,
                                                           size_t size);
DISTILRANK_API distilrank_scorer *distilrank_scorer_network(const distilrank_network *,
                                                            const distilrank_options *, char *error,
                                                            size_t size);

/* From a model's file: a network or forest that distilrank saved (safetensors), or a forest as
 * LightGBM text, told by its content. A file from a stranger is safe to open. Sentences do not
 * repeat the path. */
DISTILRANK_API distilrank_scorer *distilrank_scorer_open(const char *path,
                                                         const distilrank_options *, char *error,
                                                         size_t size);
/* The same from the file's bytes, which are not needed afterwards. */
DISTILRANK_API distilrank_scorer *distilrank_scorer_read(const void *bytes, size_t n_bytes,
                                                         const distilrank_options *, char *error,
                                                         size_t size);

/* The same model with buffers of its own. */
DISTILRANK_API distilrank_scorer *distilrank_scorer_clone(const distilrank_scorer *, char *error,
                                                          size_t size);

/* Score n rows of `n_features` floats, `stride` floats apart. 0, or not 0 on an error. n = 0 is fine. */
DISTILRANK_API int32_t distilrank_scorer_score(distilrank_scorer *, const float *rows, int64_t n,
                                               int64_t stride, float *scores, char *error,
                                               size_t size);

/* The same for callers to whom each argument costs time, as from Python: what seldom changes from
 * call to call stands in one place. */
typedef struct {
    distilrank_scorer *scorer;
    int64_t n, stride;
    char *error;
    size_t size;
} distilrank_call;
DISTILRANK_API int32_t distilrank_scorer_call(const distilrank_call *, const float *rows,
                                              float *scores);

/* How many features a row has; -1 for NULL. */
DISTILRANK_API int64_t distilrank_scorer_features(const distilrank_scorer *);

/* How many steps a network takes: reading the rows, then each layer that describe() names. 0 for a
 * forest. */
DISTILRANK_API int64_t distilrank_scorer_steps(const distilrank_scorer *);

/* Score, and add to `seconds` (steps) what each step took, by a clock that is read between them for
 * every block of documents: for planning, a little slower. 0, or not 0 on an error. */
DISTILRANK_API int32_t distilrank_scorer_profile(distilrank_scorer *, const float *rows, int64_t n,
                                                 int64_t stride, float *scores, double *seconds,
                                                 char *error, size_t size);

/* What really runs, as JSON: kind, level, precision, layers or trees. Lives as long as the scorer. */
DISTILRANK_API const char *distilrank_scorer_describe(const distilrank_scorer *);

DISTILRANK_API void distilrank_scorer_destroy(distilrank_scorer *);

/* ---- Training: what students are trained on ---- */

typedef struct {
    int64_t n_features;
    const double *mean, *scale; /* (n_features) */
    const float *fill;          /* (n_features) in place of the largest float, or NULL */
} distilrank_zscore;

/* rows[d] = (features[documents[d]] - mean) / scale in double, then float, of n documents, whose
 * features stand `stride` floats apart. Gives how many values were missing. */
DISTILRANK_API int64_t distilrank_standardise(const distilrank_zscore *, const float *features,
                                              int64_t stride, const int64_t *documents, int64_t n,
                                              float *rows);

typedef struct {
    int64_t n_features;
    const uint64_t *starts, *counts; /* (n_features) each one's first value, and how many */
    const float *values;             /* (all values, 2) raw, and as z-score */
} distilrank_midpoints;

/* n documents, each feature one of its values: the one at random * count / 2^32 (Lemire, TOMACS
 * 2019, without his rejections: of a million values none is rarer than others by 0.03 %). Writes
 * them raw and as z-scores; random (n, n_features) are any 32 bits. */
DISTILRANK_API void distilrank_draw(const distilrank_midpoints *, const uint32_t *random, int64_t n,
                                    float *raw, float *rows);

/* ---- Training: the gradient of a network's squared error on a batch ----
 *
 *     gradient = distilrank_gradient_create(widths, n_layers, DISTILRANK_BF16, DISTILRANK_BEST);
 *     for each step:
 *         squares = distilrank_gradient_run(gradient, &step);
 *     distilrank_gradient_destroy(gradient);
 *
 * In bf16 weights and units' values are rounded to bf16 for products, and so are the gradients that
 * go back through the layers; sums and all else are float. The last layer is float alone. One thread
 * uses an object at a time: to share a batch, each thread takes some of its rows, and sums are added.
 *
 * In int8 so are hidden layers from the second on: as int8 scores them, and gradients of outputs at
 * random, so that they are right on average. The first layer is float, or bf16 where that is quick.
 */
typedef struct distilrank_gradient distilrank_gradient;

/* What a processor computes gradients of a precision (enum distilrank_precision) with, as describe()
 * has it, or "" where it cannot: AVX-512 is needed, for bf16 AVX512_BF16 too, for int8 AVX512_VNNI. */
DISTILRANK_API const char *distilrank_gradient_level(int32_t precision, int32_t level);

/* widths (n_layers + 1) as in distilrank_network, with at least one hidden layer; in int8 hidden ones
 * of at most 66,000, so that sums fit 32 bits. NULL where they are none, where the processor cannot,
 * or where there is no memory for it. */
DISTILRANK_API distilrank_gradient *distilrank_gradient_create(const int64_t *widths,
                                                               int64_t n_layers, int32_t precision,
                                                               int32_t level);

typedef struct {
    const float *const *weights; /* as in distilrank_network */
    const float *const *biases;
    const float *rows; /* (n) of z-scores, `stride` floats apart */
    int64_t n, stride;
    const float *targets; /* (n) */
    float factor;         /* of the squared errors' sum that the gradient is that of: 1 / rows */
    uint32_t seed;        /* in int8: of rounding at random, another one each time; 0 rounds down */
    float *const *weight_gradients; /* written, of the weights' shapes */
    float *const *bias_gradients;
} distilrank_step;

/* Gives the sum of the squared errors. */
DISTILRANK_API double distilrank_gradient_run(distilrank_gradient *, const distilrank_step *);

/* The scores (n) of a step's rows; nothing else of the step is read but the weights and biases. */
DISTILRANK_API void distilrank_gradient_score(distilrank_gradient *, const distilrank_step *,
                                              float *scores);

DISTILRANK_API void distilrank_gradient_destroy(distilrank_gradient *);

#ifdef __cplusplus
}
#endif
#endif
