#include "lambdaml/store/dynamodb_tables.h"

#include <fmt/format.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/store/dynamodb_items.h"
#include "lambdaml/store/polling.h"

namespace lambdaml::store {
namespace {

using base::Error;
using base::ErrorCode;
using base::Json;

constexpr PollIntervals kIntervals = {.first = std::chrono::milliseconds(20),
                                      .longest = std::chrono::seconds(2)};
constexpr const char* kNotFound = "ResourceNotFoundException";
constexpr const char* kInUse = "ResourceInUseException";
constexpr const char* kTooManyAtOnce = "LimitExceededException";

struct TableDescription {
  std::string status;  // "ACTIVE", …; empty: no such table
  bool has_right_key = false;
};

bool HasRightKey(const Json& table, const std::string& key_col) {
  const Json::Array& keys = table.At("KeySchema").AsArray();
  if (keys.size() != 1 || keys[0].At("AttributeName").AsString() != key_col) return false;
  for (const Json& attribute : table.At("AttributeDefinitions").AsArray()) {
    if (attribute.At("AttributeName").AsString() == key_col) {
      return attribute.At("AttributeType").AsString() == "S";
    }
  }
  return false;
}

TableDescription Describe(const std::string& table, const DynamoDbOptions& options,
                          DynamoDbClient& client, const base::Deadline& deadline) {
  DynamoDbCall call = {.action = "DescribeTable",
                       .operation = fmt::format("look at table {} of {}", table, options.url),
                       .body = fmt::format(R"({{"TableName":"{}"}})", table)};
  if (options.create) call.expected_errors = {kNotFound};
  const DynamoDbAnswer answer = client.Call(call, deadline);
  TableDescription description;
  if (!answer.error_code.empty()) return description;
  ReadDynamoDbAnswer(call.operation, [&] {
    const Json& json = answer.json.root().At("Table");
    description = {json.At("TableStatus").AsString(), HasRightKey(json, options.key_col)};
  });
  return description;
}

// False if somebody else has been faster, or the account makes too many tables at present.
bool Create(const std::string& table, const DynamoDbOptions& options, DynamoDbClient& client,
            const base::Deadline& deadline) {
  std::string column;
  AppendJsonString(options.key_col, column);
  const DynamoDbCall call = {
      .action = "CreateTable",
      .operation = fmt::format("create table {} of {}", table, options.url),
      .body = fmt::format(R"({{"TableName":"{}","BillingMode":"PAY_PER_REQUEST",)"
                          R"("AttributeDefinitions":[{{"AttributeName":{},"AttributeType":"S"}}],)"
                          R"("KeySchema":[{{"AttributeName":{},"KeyType":"HASH"}}]}})",
                          table, column, column),
      .expected_errors = {kInUse, kTooManyAtOnce}};
  // When the answer of the call that made it was lost, nobody owns the table, and it stays.
  return client.Call(call, deadline).error_code.empty();
}

}  // namespace

bool PrepareTable(const std::string& table, const DynamoDbOptions& options, DynamoDbClient& client,
                  const base::Deadline& deadline) {
  PollPause pause(kIntervals, static_cast<uint64_t>(deadline.at().time_since_epoch().count()));
  bool is_own = false;
  while (true) {
    const TableDescription found = Describe(table, options, client, deadline);
    if (found.status == "ACTIVE" || found.status == "UPDATING") {
      if (found.has_right_key) return is_own;
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("{}: the key of table {} is not {} alone, a string: name its "
                              "partition key with key_col, or use another table",
                              options.url, table, options.key_col));
    }
    if (found.status.empty()) is_own = Create(table, options, client, deadline) || is_own;
    if (deadline.Expired()) {
      throw Error(ErrorCode::kDeadlineExceeded,
                  fmt::format("{}: table {} is not ready ({})", options.url, table,
                              found.status.empty() ? "missing" : found.status));
    }
    pause.Sleep(deadline);
  }
}

void DeleteTable(const std::string& table, const DynamoDbOptions& options, DynamoDbClient& client,
                 const base::Deadline& deadline) {
  client.Call({.action = "DeleteTable",
               .operation = fmt::format("drop table {} of {}", table, options.url),
               .body = fmt::format(R"({{"TableName":"{}"}})", table),
               .expected_errors = {kNotFound}},
              deadline);
}

}  // namespace lambdaml::store
