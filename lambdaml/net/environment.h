// Environment variables, as a function that tests can replace.
#pragma once

#include <functional>
#include <optional>
#include <string>

namespace lambdaml::net {

// The value of a variable; nothing if it is not set, or set to nothing.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

// The variables of this process.
Environment ProcessEnvironment();

}  // namespace lambdaml::net
