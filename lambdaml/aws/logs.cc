#include "lambdaml/aws/logs.h"

#include <fmt/format.h>
#include <vector>

#include "lambdaml/aws/json_client.h"
#include "lambdaml/base/error.h"

namespace lambdaml::aws {
namespace {

LogEvent EventOf(const base::Json& json) {
  return {.id = json.At("eventId").AsString(),
          .stream = json.At("logStreamName").AsString(),
          .epoch_ms = json.At("timestamp").AsInteger(),
          .message = json.At("message").AsString()};
}

}  // namespace

void FilterLogEvents(const Session& session, const LogQuery& query,
                     const std::function<void(const LogEvent&)>& take,
                     const base::Deadline& deadline) {
  JsonClient client(session, "logs");
  net::AwsRequest request;
  request.operation = fmt::format("read the log group {}", query.group);
  request.method = "POST";
  request.headers = {{"Content-Type", "application/x-amz-json-1.1"},
                     {"X-Amz-Target", "Logs_20140328.FilterLogEvents"}};
  base::Json body = base::Json::EmptyObject();
  body.Set("logGroupName", query.group);
  body.Set("startTime", query.begin_epoch_ms);
  if (!query.pattern.empty()) body.Set("filterPattern", query.pattern);
  // A page may be empty and still not be the last one.
  for (bool is_last = false; !is_last;) {
    const std::string text = body.Dump();
    request.body = base::AsBytes(text);
    const JsonAnswer answer = client.Call(request, deadline);
    std::vector<LogEvent> events;
    try {
      for (const base::Json& event : answer.body.At("events").AsArray()) {
        events.push_back(EventOf(event));
      }
      const base::Json* next = answer.body.Find("nextToken");
      is_last = next == nullptr || next->is_null();
      if (!is_last) body.Set("nextToken", next->AsString());
    } catch (const base::Error& error) {
      throw base::Error(base::ErrorCode::kUnavailable,
                        fmt::format("{}: not the answer of CloudWatch Logs: {}", request.operation,
                                    error.message()));
    }
    for (const LogEvent& event : events) take(event);
  }
}

}  // namespace lambdaml::aws
