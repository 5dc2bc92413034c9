"""Times scikit-learn's KMeans(algorithm="lloyd") on the rows that kmeans_bench wrote.

usage: kmeans_sklearn.py FOLDER ROWS N_FEATURES N_CLUSTERS EPOCHS

The folder holds raw arrays: "table" (float32) for dense rows, or "row_offsets" (int64), "columns"
(int32) and "values" (float32) for sparse ones. The first rows are the first centroids, as in
kmeans_bench. Prints the processor seconds of one epoch, its epochs and the inertia after them. An epoch is
the difference of a long and a short fit, so that validation, copies and the last labelling of a
fit are not counted.
"""

import os
import sys
import time
import warnings

import numpy as np
import scipy.sparse
from sklearn.cluster import KMeans


def main():
    warnings.filterwarnings("ignore")
    folder = sys.argv[1]
    rows, n_features, k, epochs = (int(word) for word in sys.argv[2:6])
    if os.path.exists(folder + "/table"):
        x = np.fromfile(folder + "/table", np.float32).reshape(rows, n_features)
        first = x[:k].copy()
    else:
        offsets = np.fromfile(folder + "/row_offsets", np.int64).astype(np.int32)
        columns = np.fromfile(folder + "/columns", np.int32)
        values = np.fromfile(folder + "/values", np.float32)
        x = scipy.sparse.csr_matrix((values, columns, offsets), (rows, n_features))
        first = x[:k].toarray()

    def fit(max_iter):
        model = KMeans(k, init=first, n_init=1, max_iter=max_iter, tol=0, algorithm="lloyd")
        start = time.process_time()
        model.fit(x)
        return time.process_time() - start, model

    short_s, short = fit(1)
    long_s, model = fit(epochs)
    if long_s < 3:  # worth repeating
        for _ in range(2):
            short_s = min(short_s, fit(1)[0])
            long_s = min(long_s, fit(epochs)[0])
    ran = model.n_iter_ - short.n_iter_
    print((long_s - short_s) / max(ran, 1), model.n_iter_, model.inertia_)


main()
