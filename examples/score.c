/* Score the documents of a text file, one a line: features in order, separated by commas.
 *
 *     cc -std=c99 -O2 score.c -Idistilrank -Ldistilrank -ldistilrank \
 *       -Wl,-rpath,'$ORIGIN/distilrank' -o score
 *     ./score model.safetensors rows.csv [CALLS]
 *
 * prints the scores, or, with a number of calls, the microseconds that a document takes in them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "distilrank.h"

int main(int count, char **words) {
    char error[500] = "give a model's file, a file of rows and, to time it, a number of calls";
    distilrank_scorer *scorer = NULL;
    if (count > 2) scorer = distilrank_scorer_open(words[1], NULL, error, sizeof error);
    if (!scorer) return fprintf(stderr, "error: %s\n", error), 2;
    FILE *file = fopen(words[2], "r");
    if (!file) return perror(words[2]), 2;

    float *rows = NULL, value;
    int64_t values = 0, room = 0, features = distilrank_scorer_features(scorer);
    for (; fscanf(file, "%f%*[,\r\n]", &value) == 1; rows[values++] = value)
        if (values == room) rows = realloc(rows, (size_t)(room = 2 * room + 4096) * sizeof *rows);
    if (!feof(file) || values % features)
        return fprintf(stderr, "error: %s does not hold %d features a line\n", words[2],
                       (int)features), 2;
    fclose(file);

    int64_t n = values / features, calls = count > 3 ? atol(words[3]) : 1;
    float *scores = malloc((size_t)(n + 1) * sizeof *scores);
    clock_t start = clock();
    for (int64_t call = 0; call < calls; ++call)
        if (distilrank_scorer_score(scorer, rows, n, features, scores, error, sizeof error))
            return fprintf(stderr, "error: %s\n", error), 2;
    if (count > 3)
        printf("%g\n", 1e6 * (double)(clock() - start) / CLOCKS_PER_SEC / (double)(calls * n));
    for (int64_t row = 0; count == 3 && row < n; ++row) printf("%.9g\n", scores[row]);
    free(scores), free(rows), distilrank_scorer_destroy(scorer);
    return 0;
}
