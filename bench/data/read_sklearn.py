"""The scikit-learn side of read_libsvm_bench: times load_svmlight_file on one file.

Prints the seconds of each repetition, then rows, stored values and their sum, for verification.
"""
import sys
import time

from sklearn.datasets import load_svmlight_file

path, n_features, repetitions = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for _ in range(repetitions):
    start = time.perf_counter()
    matrix, labels = load_svmlight_file(path, n_features=n_features)
    print(time.perf_counter() - start)
print(len(labels), matrix.nnz, matrix.sum())
