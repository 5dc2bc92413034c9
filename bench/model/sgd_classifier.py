"""Times scikit-learn's SGDClassifier on the rows that linear_bench wrote.

usage: sgd_classifier.py FOLDER N_FEATURES N_EPOCHS ETA ALPHA

The folder holds raw arrays: row_offsets (int64), columns (int32), values (float32), classes
(int32). Prints the seconds of one epoch (best of three fits) and the mean log-loss reached.
"""

import sys
import time

import numpy as np
import scipy.sparse
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss


def main():
    folder = sys.argv[1]
    n_features, n_epochs = int(sys.argv[2]), int(sys.argv[3])
    eta, alpha = float(sys.argv[4]), float(sys.argv[5])
    row_offsets = np.fromfile(folder + "/row_offsets", np.int64)
    columns = np.fromfile(folder + "/columns", np.int32)
    # The solver works in float64: converted here, so that the conversion is not timed.
    values = np.fromfile(folder + "/values", np.float32).astype(np.float64)
    classes = np.fromfile(folder + "/classes", np.int32)
    x = scipy.sparse.csr_matrix(
        (values, columns, row_offsets.astype(np.int32)), (len(classes), n_features))

    seconds = []
    for _ in range(3):
        model = SGDClassifier(loss="log_loss", alpha=alpha, learning_rate="constant", eta0=eta,
                              max_iter=n_epochs, tol=None, random_state=1)
        start = time.perf_counter()
        model.fit(x, classes)
        seconds.append((time.perf_counter() - start) / n_epochs)
    print(min(seconds), log_loss(classes, model.predict_proba(x)))


main()
