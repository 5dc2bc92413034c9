#include "lambdaml/store/dynamodb_store.h"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>
#include <random>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/random.h"
#include "lambdaml/store/dynamodb_items.h"
#include "lambdaml/store/dynamodb_tables.h"
#include "lambdaml/store/key.h"
#include "lambdaml/store/polling.h"

namespace lambdaml::store {
namespace {

using base::Json;

// A call takes 2 to 5 ms within a region. A worker that looks five times a second all the time
// costs $0.0023 an hour.
constexpr PollIntervals kPollIntervals = {.first = std::chrono::milliseconds(5),
                                          .longest = std::chrono::milliseconds(200)};
constexpr const char* kTableMissing = "ResourceNotFoundException";
constexpr const char* kConditionFailed = "ConditionalCheckFailedException";
// What a page of a scan reads at most, 1 MB, in read units.
constexpr uint64_t kScanPageUnitsMax = 256;

Capabilities CapabilitiesOf(const DynamoDbOptions& options) {
  return {.service = "dynamodb",
          .value_size_max_bytes = ItemValueSizeMaxBytes(options.key_col),
          .can_put_if_absent = true,
          .can_compare_and_swap = true,
          .can_list = true};
}

uint64_t RandomSeed() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

}  // namespace

DynamoDbStore::DynamoDbStore(const std::string& url,
                             std::shared_ptr<net::CredentialsProvider> credentials,
                             base::Duration first_contact_max)
    : options_(DynamoDbOptions::FromUrl(StoreUrl::Parse(url))),
      capabilities_(CapabilitiesOf(options_)),
      client_(options_, std::move(credentials), meter_, first_contact_max),
      batches_(options_, client_, meter_),
      version_seed_(RandomSeed()) {}

void DynamoDbStore::Prepare(const base::Deadline& deadline) {
  for (const std::string& table : options_.Tables()) {
    if (PrepareTable(table, options_, client_, deadline)) created_tables_.insert(table);
  }
}

void DynamoDbStore::TearDown(std::string_view prefix, const base::Deadline& deadline) {
  std::vector<std::string> own;
  for (const std::string& table : options_.Tables()) {
    const bool is_created = created_tables_.contains(table);
    const std::vector<std::string> keys =
        Scan(table, is_created ? "" : prefix, deadline, {kTableMissing});
    const auto is_own = [&](const std::string& key) { return key.starts_with(prefix); };
    if (is_created && std::ranges::all_of(keys, is_own)) {
      DeleteTable(table, options_, client_, deadline);
      created_tables_.erase(table);
    } else {
      std::ranges::copy_if(keys, std::back_inserter(own), is_own);
    }
  }
  Delete(own, deadline);
}

std::optional<base::Blob> DynamoDbStore::Get(const std::string& key,
                                             const base::Deadline& deadline) {
  auto item = ReadItem(key, deadline);
  if (!item) return std::nullopt;
  return std::move(item->value);
}

std::optional<VersionedValue> DynamoDbStore::GetVersioned(const std::string& key,
                                                          const base::Deadline& deadline) {
  auto item = ReadItem(key, deadline);
  if (!item) return std::nullopt;
  return VersionedValue{std::move(item->value), std::move(item->version)};
}

void DynamoDbStore::Put(const std::string& key, base::ByteSpan value,
                        const base::Deadline& deadline) {
  WriteItem("put", key, value, "", deadline);
}

bool DynamoDbStore::PutIfAbsent(const std::string& key, base::ByteSpan value,
                                const base::Deadline& deadline) {
  std::string column;
  AppendJsonString(options_.key_col, column);
  return WriteItem("create", key, value,
                   fmt::format(R"-(,"ConditionExpression":"attribute_not_exists(#key)",)-"
                               R"("ExpressionAttributeNames":{{"#key":{}}})",
                               column),
                   deadline);
}

bool DynamoDbStore::CompareAndSwap(const std::string& key, const std::string& version,
                                   base::ByteSpan value, const base::Deadline& deadline) {
  std::string seen;
  AppendJsonString(version, seen);
  return WriteItem("compare-and-swap", key, value,
                   fmt::format(R"(,"ConditionExpression":"#version = :seen",)"
                               R"("ExpressionAttributeNames":{{"#version":"{}"}},)"
                               R"("ExpressionAttributeValues":{{":seen":{{"S":{}}}}})",
                               kVersionColumn, seen),
                   deadline);
}

void DynamoDbStore::Delete(std::span<const std::string> keys, const base::Deadline& deadline) {
  for (const std::string& key : keys) CheckKey(key);
  if (keys.empty()) return;
  CheckDeadline("delete", keys.front(), deadline);
  const std::set<std::string_view> unique(keys.begin(), keys.end());
  DynamoDbBatches::Items items;
  for (const std::string_view key : unique) items.push_back({.key = key});
  batches_.Delete(std::move(items), deadline);
}

std::vector<std::string> DynamoDbStore::List(std::string_view prefix,
                                             const base::Deadline& deadline) {
  CheckDeadline("list", prefix, deadline);
  std::vector<std::string> keys;
  for (const std::string& table : options_.Tables()) {
    std::ranges::move(Scan(table, prefix, deadline), std::back_inserter(keys));
  }
  std::ranges::sort(keys);
  return keys;
}

std::optional<base::Blob> DynamoDbStore::Wait(const std::string& key,
                                              const base::Deadline& deadline) {
  return std::move(WaitAll({&key, 1}, deadline).front());
}

std::vector<std::optional<base::Blob>> DynamoDbStore::WaitAll(std::span<const std::string> keys,
                                                              const base::Deadline& deadline) {
  for (const std::string& key : keys) CheckKey(key);
  const auto look = [this](std::span<const std::string> missing, const base::Deadline& look_end) {
    const std::set<std::string_view> unique(missing.begin(), missing.end());
    DynamoDbBatches::Items items;
    for (const std::string_view key : unique) items.push_back({.key = key});
    const DynamoDbBatches::Values found = batches_.Get(std::move(items), look_end);
    std::vector<std::optional<base::Blob>> values(missing.size());
    for (size_t i = 0; i < missing.size(); ++i) {
      if (const auto value = found.find(missing[i]); value != found.end()) {
        values[i] = value->second;
      }
    }
    return values;
  };
  return PollForAll(keys, kPollIntervals, deadline, meter_, usual_wait_, look);
}

void DynamoDbStore::PutAll(std::span<const KeyValue> entries, const base::Deadline& deadline) {
  for (const KeyValue& entry : entries) CheckKey(entry.key);
  std::map<std::string_view, base::ByteSpan> last;
  for (const KeyValue& entry : entries) {
    CheckWrite("put", entry.key, entry.value, deadline);
    last[entry.key] = entry.value;
  }
  DynamoDbBatches::Items items;
  for (const auto& [key, value] : last) {
    items.push_back({.key = key, .value = value, .version = NewVersion()});
    meter_.CountBytesWritten(value.size());
  }
  batches_.Put(std::move(items), deadline);
}

void DynamoDbStore::CheckWrite(std::string_view operation, std::string_view key,
                               base::ByteSpan value, const base::Deadline& deadline) const {
  CheckKey(key);
  CheckValueSize(key, value);
  CheckDeadline(operation, key, deadline);
}

std::string DynamoDbStore::Describe(std::string_view operation, std::string_view key) const {
  return fmt::format("{} {} in {}", operation, key, options_.url);
}

std::string DynamoDbStore::NewVersion() {
  return fmt::format("{:016x}", base::MixSeed(version_seed_, next_version_++));
}

std::optional<DynamoDbStore::Item> DynamoDbStore::ReadItem(const std::string& key,
                                                           const base::Deadline& deadline) {
  CheckKey(key);
  CheckDeadline("get", key, deadline);
  DynamoDbCall call = {.action = "GetItem", .operation = Describe("get", key), .body = {}};
  call.body = fmt::format(R"({{"TableName":"{}","Key":)", options_.TableOf(key));
  AppendKey(options_.key_col, key, call.body);
  call.body += R"(,"ConsistentRead":true,"ReturnConsumedCapacity":"TOTAL"})";
  const DynamoDbAnswer answer = client_.Call(call, deadline);
  std::optional<Item> found;
  ReadDynamoDbAnswer(call.operation, [&] {
    const Json* item = answer.json.root().Find("Item");
    if (item == nullptr) return;
    found = {answer.json.Binary(item->At(kValueColumn)),
             std::string(StringAttribute(*item, kVersionColumn))};
  });
  const uint64_t size = found ? found->value.size() : 0;
  const uint64_t units = found ? ReadUnits(ItemSizeBytes(options_.key_col, key, size)) : 1;
  batches_.NoteValueSize(size);
  meter_.CountBytesRead(size);
  meter_.CountReadUnits(answer.units.value_or(units));
  return found;
}

bool DynamoDbStore::WriteItem(std::string_view operation, const std::string& key,
                              base::ByteSpan value, std::string_view condition,
                              const base::Deadline& deadline) {
  CheckWrite(operation, key, value, deadline);
  const std::string version = NewVersion();
  DynamoDbCall call = {.action = "PutItem",
                       .operation = Describe(operation, key),
                       .body = {},
                       .expected_errors = {kConditionFailed}};
  constexpr size_t kPunctuation = 128;
  call.body.reserve(kPunctuation + options_.TableOf(key).size() + condition.size() +
                    ItemJsonSizeMaxBytes(options_.key_col, key, value.size()));
  fmt::format_to(std::back_inserter(call.body), R"({{"TableName":"{}","Item":)",
                 options_.TableOf(key));
  AppendItem(options_.key_col, key, value, version, call.body);
  call.body += condition;
  call.body += R"(,"ReturnConsumedCapacity":"TOTAL"})";
  meter_.CountBytesWritten(value.size());
  batches_.NoteValueSize(value.size());
  const DynamoDbAnswer answer = client_.Call(call, deadline);
  // A condition that fails is billed too; the answer does not say how much.
  meter_.CountWriteUnits(
      answer.units.value_or(WriteUnits(ItemSizeBytes(options_.key_col, key, value.size()))));
  if (answer.error_code.empty()) return true;
  if (answer.attempt_count == 1) return false;
  // The condition may have failed because of this very write, whose answer was lost.
  const auto present = ReadItem(key, deadline);
  return present && present->version == version;
}

std::vector<std::string> DynamoDbStore::Scan(const std::string& table, std::string_view prefix,
                                             const base::Deadline& deadline,
                                             const std::vector<std::string>& expected_errors) {
  std::string start;
  AppendJsonString(prefix, start);
  std::string column;
  AppendJsonString(options_.key_col, column);
  std::string request =
      fmt::format(R"({{"TableName":"{}","ConsistentRead":true,"ReturnConsumedCapacity":"TOTAL",)"
                  R"("ProjectionExpression":"#key","ExpressionAttributeNames":{{"#key":{}}})",
                  table, column);
  if (!prefix.empty()) {
    fmt::format_to(std::back_inserter(request),
                   R"-(,"FilterExpression":"begins_with(#key, :start)",)-"
                   R"("ExpressionAttributeValues":{{":start":{{"S":{}}}}})",
                   start);
  }
  std::vector<std::string> keys;
  std::string page_start;  // ,"ExclusiveStartKey":{…}
  do {
    const DynamoDbCall call = {.action = "Scan",
                               .operation = Describe("list", fmt::format("{}*", prefix)),
                               .body = fmt::format("{}{}}}", request, page_start),
                               .expected_errors = expected_errors};
    const DynamoDbAnswer answer = client_.Call(call, deadline);
    if (!answer.error_code.empty()) return {};
    meter_.CountReadUnits(answer.units.value_or(kScanPageUnitsMax));
    ReadDynamoDbAnswer(call.operation, [&] {
      for (const Json& item : answer.json.root().At("Items").AsArray()) {
        keys.emplace_back(StringAttribute(item, options_.key_col));
      }
      const Json* last = answer.json.root().Find("LastEvaluatedKey");
      page_start = last ? fmt::format(R"(,"ExclusiveStartKey":{})", last->Dump()) : "";
    });
  } while (!page_start.empty());
  return keys;
}

}  // namespace lambdaml::store
