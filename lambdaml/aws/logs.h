// Amazon CloudWatch Logs: what functions have printed.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "lambdaml/aws/session.h"
#include "lambdaml/base/clock.h"

namespace lambdaml::aws {

struct LogEvent {
  std::string id;      // tells events apart when they are asked for again
  std::string stream;  // one for each execution environment
  int64_t epoch_ms = 0;
  std::string message;
};

struct LogQuery {
  std::string group;    // "/aws/lambda/NAME"
  std::string pattern;  // "": all; "\"text\"": lines that contain it
  int64_t begin_epoch_ms = 0;
};

// Calls `take` for each event, oldest first. One request for each page of up to 10,000 events or
// 1 MB. Errors: as AwsClient::Send; kNotFound if there is no such group.
void FilterLogEvents(const Session& session, const LogQuery& query,
                     const std::function<void(const LogEvent&)>& take,
                     const base::Deadline& deadline);

}  // namespace lambdaml::aws
