// Centroids as files that other tools read.
//
//   .npy   an array of float32, shape (k, n_features): numpy.load reads it
//   text   k lines of n_features numbers, separated by one space: numpy.loadtxt reads it
//
// Numbers of the text are the shortest that read back the same. Neither format has a checksum: both
// belong to others. numpy's own sizes must fit its bytes, and lines of a text must be equally long.
#pragma once

#include <string>
#include <string_view>

#include "lambdaml/base/bytes.h"
#include "lambdaml/model/kmeans_centroids.h"

namespace lambdaml::model {

// The file's bytes. Errors: those of CheckCentroids, and kInvalidArgument without features.
std::string FormatCentroidsNpy(const Centroids& centroids);
std::string FormatCentroidsText(const Centroids& centroids);

// Reads either format, told apart by .npy's first bytes. Of .npy also float64, which is rounded
// (scikit-learn's cluster_centers_ saved as it is). Of a text also a last line without its end, and
// tabs or several spaces between numbers. `origin` names the bytes in errors: kInvalidData,
// "origin: what" or "origin:line: what".
Centroids ParseCentroids(base::ByteSpan bytes, std::string_view origin);

// Whether a file that begins so can be centroids: an .npy array, or a text that begins with a
// number (and not, say, a linear model's "solver_type").
bool LooksLikeCentroids(base::ByteSpan bytes);

// Saves as .npy if the path ends so, else as text. Errors: those of the above, of
// base::WriteFileAtomic and of base::MapFile.
void SaveCentroids(const Centroids& centroids, const std::string& path);
Centroids LoadCentroids(const std::string& path);

}  // namespace lambdaml::model
