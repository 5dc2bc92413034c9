#include "lambdaml/model/kmeans_model_file.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fmt/format.h>
#include <iterator>
#include <optional>

#include "lambdaml/base/error.h"
#include "lambdaml/base/file.h"
#include "lambdaml/data/npy.h"
#include "lambdaml/data/number.h"

namespace lambdaml::model {
namespace {

constexpr std::string_view kNpyMagic = "\x93NUMPY";
constexpr std::string_view kBlanks = " \t\r";
constexpr size_t kShownMax = 40;

[[noreturn]] void Fail(std::string_view place, std::string_view what) {
  throw base::Error(base::ErrorCode::kInvalidData, fmt::format("{}: {}", place, what));
}

void CheckSavable(const Centroids& centroids) {
  CheckCentroids(centroids, "the model");
  if (centroids.n_features > 0) return;
  throw base::Error(base::ErrorCode::kInvalidArgument,
                    "the model: centroids without features cannot be saved");
}

// Elements of an .npy array as float32; `Number` is what the file holds.
template <typename Number>
std::vector<float> Elements(const data::NpyArray& array) {
  std::vector<float> values(array.elements.size() / sizeof(Number));
  for (size_t i = 0; i < values.size(); ++i) {
    Number value;
    std::memcpy(&value, array.elements.data() + i * sizeof(Number), sizeof(Number));
    values[i] = static_cast<float>(value);
  }
  return values;
}

Centroids ParseNpyCentroids(base::ByteSpan bytes, std::string_view origin) {
  const data::NpyArray array = data::ParseNpy(bytes, origin);
  if (array.shape.size() != 2 || array.shape[0] == 0 || array.shape[1] == 0) {
    Fail(origin, "centroids are a table of clusters by features; this array is none");
  }
  if (array.fortran_order) {
    Fail(origin, "the array lies in Fortran order; save numpy.ascontiguousarray(…) of it");
  }
  Centroids centroids{array.shape[0], array.shape[1], {}};
  if (array.dtype == "<f4") {
    centroids.values = Elements<float>(array);
  } else if (array.dtype == "<f8") {
    centroids.values = Elements<double>(array);
  } else {
    Fail(origin, fmt::format("centroids are of type <f4 or <f8, this array is of {}", array.dtype));
  }
  for (size_t i = 0; i < centroids.values.size(); ++i) {
    if (std::isfinite(centroids.values[i])) continue;
    const auto n_features = static_cast<size_t>(centroids.n_features);
    Fail(origin, fmt::format("coordinate {} of centroid {} is {}; every number must be finite",
                             i % n_features, i / n_features, centroids.values[i]));
  }
  return centroids;
}

// The next word of *rest, which it is taken from; empty at the end.
std::string_view TakeWord(std::string_view* rest) {
  const size_t begin = std::min(rest->find_first_not_of(kBlanks), rest->size());
  const size_t end = std::min(rest->find_first_of(kBlanks, begin), rest->size());
  const std::string_view word = rest->substr(begin, end - begin);
  rest->remove_prefix(end);
  return word;
}

Centroids ParseText(std::string_view text, std::string_view origin) {
  Centroids centroids;
  int64_t line_number = 0;
  while (!text.empty()) {
    const auto place = [&] { return fmt::format("{}:{}", origin, line_number); };
    ++line_number;
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    int64_t count = 0;
    for (;;) {
      const std::string_view word = TakeWord(&line);
      if (word.empty()) break;
      const std::optional<float> value = data::ParseFloat(word);
      if (!value) {
        Fail(place(),
             fmt::format("\"{}\" is not a number that float32 holds", word.substr(0, kShownMax)));
      }
      centroids.values.push_back(*value);
      ++count;
    }
    if (count == 0) Fail(place(), "a centroid was expected, the line is empty");
    if (centroids.k == 0) centroids.n_features = count;
    if (count != centroids.n_features) {
      Fail(place(),
           fmt::format("{} numbers, but {} in the first line", count, centroids.n_features));
    }
    ++centroids.k;
  }
  if (centroids.k == 0) Fail(origin, "the file is empty; centroids were expected");
  return centroids;
}

}  // namespace

std::string FormatCentroidsNpy(const Centroids& centroids) {
  CheckSavable(centroids);
  std::string bytes = data::NpyHeader("<f4", {centroids.k, centroids.n_features});
  bytes.append(base::AsText(std::as_bytes(std::span(centroids.values))));
  return bytes;
}

std::string FormatCentroidsText(const Centroids& centroids) {
  CheckSavable(centroids);
  fmt::memory_buffer text;
  for (size_t i = 0; i < centroids.values.size(); ++i) {
    const bool last = (i + 1) % static_cast<size_t>(centroids.n_features) == 0;
    fmt::format_to(std::back_inserter(text), "{}{}", centroids.values[i], last ? '\n' : ' ');
  }
  return {text.data(), text.size()};
}

Centroids ParseCentroids(base::ByteSpan bytes, std::string_view origin) {
  const std::string_view text = base::AsText(bytes);
  Centroids centroids =
      text.starts_with(kNpyMagic) ? ParseNpyCentroids(bytes, origin) : ParseText(text, origin);
  if (centroids.k > kClustersMax) {
    Fail(origin, fmt::format("{} centroids; at most {} can be used", centroids.k, kClustersMax));
  }
  return centroids;
}

bool LooksLikeCentroids(base::ByteSpan bytes) {
  std::string_view text = base::AsText(bytes);
  if (text.starts_with(kNpyMagic)) return true;
  text = text.substr(0, text.find('\n'));
  return data::ParseFloat(TakeWord(&text)).has_value();
}

void SaveCentroids(const Centroids& centroids, const std::string& path) {
  const std::string bytes =
      path.ends_with(".npy") ? FormatCentroidsNpy(centroids) : FormatCentroidsText(centroids);
  base::WriteFileAtomic(path, base::AsBytes(bytes));
}

Centroids LoadCentroids(const std::string& path) {
  return ParseCentroids(base::MapFile(path).span(), path);
}

}  // namespace lambdaml::model
