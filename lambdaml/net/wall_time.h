// Moments of the wall clock, as services write them.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace lambdaml::net {

using WallTime = std::chrono::system_clock::time_point;

// "20150830T123600Z", the form of X-Amz-Date.
std::string FormatAmzDate(WallTime time);

// "Sun, 06 Nov 1994 08:49:37 GMT", the form of HTTP's Date header; nothing if it is another one.
std::optional<WallTime> ParseHttpDate(std::string_view text);

// "2026-05-01T12:00:00Z", also with a fraction of the second, which is left out; nothing if it is
// another form.
std::optional<WallTime> ParseIsoTime(std::string_view text);

}  // namespace lambdaml::net
