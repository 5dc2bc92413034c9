// The text of config/function.yaml, put into the program when it is built.
#pragma once

#include <string_view>

namespace lambdaml::deploy {

std::string_view FunctionTemplate();

}  // namespace lambdaml::deploy
