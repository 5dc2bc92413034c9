// "Did you mean": the known word that a misspelt one is closest to.
#pragma once

#include <string_view>
#include <vector>

namespace lambdaml::base {

// The word of `known` that is at most two edits (a letter added, dropped or replaced) away from
// `word`, the first of the closest; "" if there is none. Cost: the product of the words' lengths,
// for each known word.
std::string_view ClosestSpelling(std::string_view word, const std::vector<std::string_view>& known);

}  // namespace lambdaml::base
