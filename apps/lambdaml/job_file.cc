#include "apps/lambdaml/job_file.h"

#include <fmt/format.h>
#include <map>
#include <toml++/toml.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/file.h"
#include "lambdaml/base/json.h"
#include "lambdaml/wire/job_options.h"

namespace lambdaml::cli {
namespace {

constexpr size_t kJobFileBytesMax = 1 << 20;

[[noreturn]] void Refuse(std::string message) {
  throw base::Error(base::ErrorCode::kInvalidArgument, std::move(message));
}

base::Json ScalarOf(const toml::node& node, const std::string& place) {
  if (const auto* text = node.as_string()) return base::Json(text->get());
  if (const auto* integer = node.as_integer()) return base::Json(integer->get());
  if (const auto* number = node.as_floating_point()) return base::Json(number->get());
  if (const auto* truth = node.as_boolean()) return base::Json(truth->get());
  Refuse(fmt::format("{}: must be a string, a number, true or false", place));
}

wire::Job ReadToml(std::string_view text, const std::string& path) {
  toml::table table;
  try {
    table = toml::parse(text, path);
  } catch (const toml::parse_error& error) {
    const auto& begin = error.source().begin;
    Refuse(fmt::format("{}:{}:{}: {}", path, begin.line, begin.column,
                       std::string(error.description())));
  }
  wire::Job job;
  std::map<std::string_view, std::string_view> given;  // an option's name, and the key that set it
  for (const auto& [key, node] : table) {
    const std::string place =
        fmt::format("{}:{}: {}", path, node.source().begin.line, std::string(key.str()));
    const auto [other, is_new] = given.emplace(wire::OptionNameOf(key.str(), place), key.str());
    if (!is_new) {
      Refuse(fmt::format("{}: given twice, the other time as \"{}\"", place, other->second));
    }
    wire::SetOptionFromJson(job, key.str(), ScalarOf(node, place), place);
  }
  return job;
}

}  // namespace

wire::Job ReadJobFile(const std::string& path) {
  const base::Blob file = base::MapFile(path);
  if (file.size() > kJobFileBytesMax) {
    Refuse(fmt::format("{}: {} bytes is too large for a job file", path, file.size()));
  }
  const std::string_view text = file.text();
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || text[first] != '{') return ReadToml(text, path);
  try {
    return wire::JobFromJson(base::Json::Parse(text, path), path);
  } catch (const base::Error& error) {
    // A job file is the user's word, not data.
    throw base::Error(base::ErrorCode::kInvalidArgument, error.message());
  }
}

}  // namespace lambdaml::cli
