// The text of config/prices.json, put into the program when it is built.
#pragma once

#include <string_view>

namespace lambdaml::report {

std::string_view EmbeddedPricesText();

}  // namespace lambdaml::report
