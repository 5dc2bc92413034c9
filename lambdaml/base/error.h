// The one exception type of the project and its closed set of codes.
//
// An expected outcome (a missing key, a lost compare-and-swap) is a value, never an Error. A
// failure throws one Error whose message names the operation, the object and the cause, ready to be
// shown to the user. Foreign errors are translated in the module that owns the library they come
// from.
#pragma once

#include <exception>
#include <string>
#include <string_view>

namespace lambdaml::base {

enum class ErrorCode {
  kInvalidArgument,    // a flag, job file or payload key is wrong: the user must change it
  kInvalidData,        // a data, model or shard file is malformed: "file:line: what"
  kNotFound,           // a file, folder or object that must exist does not
  kAlreadyExists,      // something that must be created is there already
  kPermissionDenied,   // the operating system or a service refuses access
  kResourceExhausted,  // disk, memory, quota or a service's size limit
  kUnavailable,        // a service or a worker cannot be reached, or died
  kDeadlineExceeded,   // a wait ended without what it waited for; the message names it
  kCancelled,          // the user or the platform asked for the end
  kCorrupt,            // stored bytes fail their checksum or version
  kInternal,           // a bug
};

// The code's name as it appears in logs and in function errors, e.g. "InvalidData".
std::string_view ErrorCodeName(ErrorCode code);

// The inverse of ErrorCodeName; kInternal for any other name.
ErrorCode ErrorCodeFromName(std::string_view name);

class Error : public std::exception {
 public:
  Error(ErrorCode code, std::string message) : code_(code), message_(std::move(message)) {}

  ErrorCode code() const { return code_; }
  const std::string& message() const { return message_; }
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  ErrorCode code_;
  std::string message_;
};

// Throws an Error for a failed system call: "<operation> <object>: <strerror(errno_value)>", with
// the code that suits errno_value (ENOENT: kNotFound, ENOSPC: kResourceExhausted, …).
[[noreturn]] void ThrowErrno(std::string_view operation, std::string_view object, int errno_value);

}  // namespace lambdaml::base
