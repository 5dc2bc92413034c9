#include "lambdaml/ps/slice_call.h"

#include <algorithm>
#include <fmt/format.h>
#include <string_view>

#include "lambdaml/base/error.h"

namespace lambdaml::ps {
namespace {

constexpr size_t kNameSizeMax = 120;

bool IsLetterOrDigit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool IsNameCharacter(char c) { return IsLetterOrDigit(c) || c == '.' || c == '_' || c == '-'; }

}  // namespace

void CheckJobName(const std::string& job) {
  if (!job.empty() && job.size() <= kNameSizeMax && IsLetterOrDigit(job.front()) &&
      std::ranges::all_of(job, IsNameCharacter)) {
    return;
  }
  throw base::Error(base::ErrorCode::kInvalidArgument,
                    fmt::format("a job's name is a letter or digit and up to {} of "
                                "[A-Za-z0-9._-]; this one has {} bytes",
                                kNameSizeMax - 1, job.size()));
}

}  // namespace lambdaml::ps
