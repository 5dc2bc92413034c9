// Calls of DynamoDB's API (JSON protocol 1.0), signed, repeated when it makes sense, counted.
//
// Each attempt counts as one request of its kind; capacity units are those the service says it has
// consumed (every request asks for them).
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/clock.h"
#include "lambdaml/net/aws_client.h"
#include "lambdaml/net/aws_config.h"
#include "lambdaml/net/credentials.h"
#include "lambdaml/net/retry.h"
#include "lambdaml/store/dynamodb_json.h"
#include "lambdaml/store/dynamodb_options.h"
#include "lambdaml/store/meter.h"

namespace lambdaml::store {

struct DynamoDbCall {
  static constexpr std::string_view kDelete = "delete ";

  std::string_view action;  // "GetItem"; lives as long as the program
  // For messages, "get job/all/1.0 in dynamodb://table", and for the meter: what begins with
  // kDelete counts as a delete.
  std::string operation;
  std::string body;  // a JSON object
  // Codes that are an answer, beside success.
  std::vector<std::string> expected_errors = {};
};

struct DynamoDbAnswer {
  std::string error_code;  // empty: success
  int attempt_count = 1;   // above 1, an earlier attempt may have had its effect already
  DynamoDbJson json;
  // What the service says it has billed; nothing if it does not say, or for a failure.
  std::optional<uint64_t> units;
};

// Threads: any, at once.
class DynamoDbClient {
 public:
  // How many calls of one CallAll are in flight together.
  static constexpr size_t kCallsAtOnceMax = 32;

  // Options and meter must outlive the client. Errors: kInvalidArgument (no region, malformed
  // endpoint).
  DynamoDbClient(const DynamoDbOptions& options,
                 std::shared_ptr<net::CredentialsProvider> credentials, Meter& meter,
                 base::Duration first_contact_max = net::kOutageMax);

  // Errors: as net::AwsClient::Send; kNotFound if a table is missing, with how to create it;
  // kInvalidArgument if its key is another; kUnavailable if the answer is not DynamoDB's.
  DynamoDbAnswer Call(const DynamoDbCall& call, const base::Deadline& deadline);

  // In parallel; answer i belongs to calls[i]. At most kCallsAtOnceMax calls.
  std::vector<DynamoDbAnswer> CallAll(std::span<const DynamoDbCall> calls,
                                      const base::Deadline& deadline);

 private:
  // Throws if the answer is an error that the call does not expect.
  void CheckExpected(const DynamoDbCall& call, const net::AwsAnswer& answer,
                     const base::Json& json) const;

  const DynamoDbOptions& options_;
  const net::AwsConfig config_;
  net::AwsClient aws_;
};

}  // namespace lambdaml::store
