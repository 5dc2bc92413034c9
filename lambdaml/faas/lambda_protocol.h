// The words of AWS Lambda's two HTTP interfaces that both their ends use: paths, limits and error
// bodies. Sources: AWS Lambda developer guide ("Lambda runtime API", "Lambda quotas") and API
// reference ("Invoke").
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace lambdaml::faas {

// Runtime API.
inline constexpr std::string_view kRuntimeApiPrefix = "/2018-06-01/runtime/";
inline constexpr std::string_view kRuntimeNextPath = "/2018-06-01/runtime/invocation/next";
inline constexpr std::string_view kRuntimeInvocationPrefix = "/2018-06-01/runtime/invocation/";
inline constexpr std::string_view kRuntimeInitErrorPath = "/2018-06-01/runtime/init/error";
inline constexpr std::string_view kFunctionErrorTypeHeader = "Lambda-Runtime-Function-Error-Type";

// Invoke API: kInvokePrefix + name + kInvokeSuffix.
inline constexpr std::string_view kInvokePrefix = "/2015-03-31/functions/";
inline constexpr std::string_view kInvokeSuffix = "/invocations";

// x-amzn-ErrorType of a request that waits while the local platform shuts down. Lambda has no such
// answer; its own 5xx ones ask for a retry, which would be wrong here.
inline constexpr std::string_view kShutdownErrorType = "PlatformShutdownException";

inline constexpr size_t kSyncRequestSizeMaxBytes = 6 * 1024 * 1024;
inline constexpr size_t kEventRequestSizeMaxBytes = 1024 * 1024;
inline constexpr size_t kResponseSizeMaxBytes = 6 * 1024 * 1024 + 100;  // as Lambda counts it
inline constexpr size_t kLogTailSizeMaxBytes = 4096;

// {"errorType":…,"errorMessage":…}, the payload of a failed invocation. with_stack_trace adds the
// empty "stackTrace" that runtimes post.
std::string FunctionErrorBody(std::string_view error_type, std::string_view message,
                              bool with_stack_trace = false);

// Errors of the response size limit, which the runtime and the platform both report.
inline constexpr std::string_view kResponseTooLargeType = "Function.ResponseSizeTooLarge";
std::string ResponseTooLargeMessage(size_t size_bytes);

// Where the local platform's functions are said to be.
inline constexpr std::string_view kLocalRegion = "us-east-1";
std::string FunctionArn(std::string_view function_name);

// A random version 4 UUID in lower case, as request ids are. Threads: any.
std::string NewRequestId();

// `digit_count` random lower-case hexadecimal digits. Threads: any.
std::string RandomHex(size_t digit_count);

// Base64 of RFC 4648 with padding. Decoding malformed text throws kInvalidData.
std::string EncodeBase64(std::string_view bytes);
std::string DecodeBase64(std::string_view text);

}  // namespace lambdaml::faas
