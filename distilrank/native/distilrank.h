/* The C interface of libdistilrank. distilrank/native.py is its one binding.
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
#define DISTILRANK_ABI 2
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

#ifdef __cplusplus
}
#endif
#endif
