// AWS Lambda: what a function is, and what the account allows. Invoking is faas/aws_invoker.h's.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "lambdaml/aws/json_client.h"
#include "lambdaml/aws/session.h"
#include "lambdaml/base/clock.h"

namespace lambdaml::aws {

struct FunctionConfiguration {
  std::string arn;
  std::string code_sha256;   // of the package, base64
  std::string architecture;  // "x86_64", "arm64"
  int64_t memory_mb = 0;
  int64_t timeout_seconds = 0;
  std::string state;               // "Pending", "Active", "Inactive", "Failed"
  std::string state_reason;        // for people
  std::string last_update_status;  // "Successful", "InProgress", "Failed"
  std::string vpc_id;              // empty: in no VPC
  std::map<std::string, std::string> environment;
};

struct AccountConcurrency {
  int64_t limit = 0;       // executions at one time, of all functions in the region
  int64_t unreserved = 0;  // of those, what is set aside for no function
};

// Threads: any, at once.
class Lambda {
 public:
  explicit Lambda(const Session& session);

  // Nothing if there is no such function. One request. Errors of all calls: as AwsClient::Send;
  // kUnavailable for an answer that lacks what is asked for.
  std::optional<FunctionConfiguration> GetFunctionConfiguration(const std::string& name,
                                                                const base::Deadline& deadline);

  // What is set aside for the function; nothing if nothing is. One request.
  std::optional<int64_t> GetReservedConcurrency(const std::string& name,
                                                const base::Deadline& deadline);

  AccountConcurrency GetAccountSettings(const base::Deadline& deadline);

  // The function's URL; nothing if it has none. One request.
  std::optional<std::string> GetFunctionUrl(const std::string& name,
                                            const base::Deadline& deadline);

 private:
  JsonAnswer Get(std::string operation, std::string path, const base::Deadline& deadline);

  JsonClient client_;
};

}  // namespace lambdaml::aws
