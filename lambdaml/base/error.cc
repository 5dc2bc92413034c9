#include "lambdaml/base/error.h"

#include <array>
#include <cerrno>
#include <fmt/format.h>
#include <system_error>
#include <utility>

namespace lambdaml::base {
namespace {

constexpr std::array<std::pair<ErrorCode, std::string_view>, 11> kNames = {{
    {ErrorCode::kInvalidArgument, "InvalidArgument"},
    {ErrorCode::kInvalidData, "InvalidData"},
    {ErrorCode::kNotFound, "NotFound"},
    {ErrorCode::kAlreadyExists, "AlreadyExists"},
    {ErrorCode::kPermissionDenied, "PermissionDenied"},
    {ErrorCode::kResourceExhausted, "ResourceExhausted"},
    {ErrorCode::kUnavailable, "Unavailable"},
    {ErrorCode::kDeadlineExceeded, "DeadlineExceeded"},
    {ErrorCode::kCancelled, "Cancelled"},
    {ErrorCode::kCorrupt, "Corrupt"},
    {ErrorCode::kInternal, "Internal"},
}};

ErrorCode CodeOfErrno(int errno_value) {
  switch (errno_value) {
    case ENOENT:
    case ENOTDIR:
      return ErrorCode::kNotFound;
    case EEXIST:
    case ENOTEMPTY:
      return ErrorCode::kAlreadyExists;
    case EACCES:
    case EPERM:
    case EROFS:
      return ErrorCode::kPermissionDenied;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case EAGAIN:
      return ErrorCode::kResourceExhausted;
    case EISDIR:
    case EINVAL:
    case ENAMETOOLONG:
      return ErrorCode::kInvalidArgument;
    case ETIMEDOUT:
      return ErrorCode::kDeadlineExceeded;
    default:
      return ErrorCode::kUnavailable;
  }
}

}  // namespace

std::string_view ErrorCodeName(ErrorCode code) {
  for (const auto& [candidate, name] : kNames) {
    if (candidate == code) return name;
  }
  return "Internal";
}

ErrorCode ErrorCodeFromName(std::string_view name) {
  for (const auto& [code, candidate] : kNames) {
    if (candidate == name) return code;
  }
  return ErrorCode::kInternal;
}

void ThrowErrno(std::string_view operation, std::string_view object, int errno_value) {
  throw Error(CodeOfErrno(errno_value), fmt::format("{} {}: {}", operation, object,
                                                    std::generic_category().message(errno_value)));
}

}  // namespace lambdaml::base
