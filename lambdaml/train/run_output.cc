#include "lambdaml/train/run_output.h"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <string_view>
#include <system_error>

#include "lambdaml/base/error.h"
#include "lambdaml/place/place.h"

namespace lambdaml::train {

std::string DefaultCheckpoint(const std::string& output) {
  const size_t end =
      place::IsLocal(output) ? output.size() : std::min(output.find('?'), output.size());
  return output.substr(0, end) + ".checkpoint" + output.substr(end);
}

void CheckOutput(const wire::Job& job) {
  const std::string& output = job.output;
  const auto refuse = [&](std::string_view why) {
    throw base::Error(base::ErrorCode::kInvalidArgument,
                      fmt::format("--output {} is {}: name another file", output, why));
  };
  const auto is_same = [&](const std::string& other) {
    std::error_code error;  // of files that do not exist
    return output == other ||
           (place::IsLocal(output) && place::IsLocal(other) &&
            std::filesystem::equivalent(place::PathOf(output), place::PathOf(other), error));
  };
  std::error_code error;  // of a path that does not exist
  if (place::IsLocal(output) && std::filesystem::is_directory(place::PathOf(output), error)) {
    refuse("a folder");
  }
  if (is_same(job.data)) refuse("the training data itself");
  if (is_same(job.test)) refuse("the test data itself");
  place::CheckWritable(output);
}

}  // namespace lambdaml::train
