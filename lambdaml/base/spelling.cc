#include "lambdaml/base/spelling.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace lambdaml::base {
namespace {

constexpr size_t kEditsMax = 2;

// Levenshtein's distance.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string_view ClosestSpelling(std::string_view word,
                                 const std::vector<std::string_view>& known) {
  std::string_view closest;
  size_t edits_min = kEditsMax + 1;
  for (const std::string_view candidate : known) {
    const size_t edits = EditDistance(candidate, word);
    if (edits >= edits_min) continue;
    closest = candidate;
    edits_min = edits;
  }
  return closest;
}

}  // namespace lambdaml::base
