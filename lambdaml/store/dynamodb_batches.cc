#include "lambdaml/store/dynamodb_batches.h"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>
#include <optional>
#include <set>
#include <unistd.h>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/random.h"
#include "lambdaml/net/retry.h"
#include "lambdaml/store/dynamodb_items.h"

namespace lambdaml::store {
namespace {

using base::Error;
using base::ErrorCode;
using base::Json;

using Batch = std::span<const DynamoDbBatchItem>;

constexpr uint64_t kBatchValuesBytes = 1 << 20;
constexpr base::Duration kPauseMax = std::chrono::seconds(2);  // of net::Retry

// Between two passes over what is undone; a pass that achieved anything starts the patience anew,
// since a table that takes little at a time is at work all the same.
class Patience {
 public:
  Patience(const base::Deadline& deadline, uint64_t seed) : deadline_(deadline), seed_(seed) {}

  void Pause(bool has_progress, std::string_view operation) {
    if (has_progress || !retry_) retry_.emplace(deadline_, seed_++);
    if (retry_->Again()) return;
    if (deadline_.Remaining() <= kPauseMax) {
      throw Error(ErrorCode::kDeadlineExceeded,
                  fmt::format("{}: the deadline has passed while the throughput of the tables is "
                              "exceeded",
                              operation));
    }
    throw Error(ErrorCode::kUnavailable,
                fmt::format("{}: the throughput of the tables is exceeded, and nothing was done "
                            "for {:.0f} s: raise it, or use on-demand tables (PAY_PER_REQUEST)",
                            operation, base::Seconds(net::kOutageMax)));
  }

 private:
  const base::Deadline deadline_;
  uint64_t seed_;
  std::optional<net::Retry> retry_;
};

// The keys in {"<table>": …} under UnprocessedItems or UnprocessedKeys.
std::set<std::string, std::less<>> UnprocessedKeys(const Json& answer, std::string_view key_col) {
  std::set<std::string, std::less<>> keys;
  if (const Json* tables = answer.Find("UnprocessedItems")) {
    for (const auto& [table, requests] : tables->AsObject()) {
      for (const Json& request : requests.AsArray()) {
        const Json* put = request.Find("PutRequest");
        const Json& item = put ? put->At("Item") : request.At("DeleteRequest").At("Key");
        keys.emplace(StringAttribute(item, key_col));
      }
    }
  }
  if (const Json* tables = answer.Find("UnprocessedKeys")) {
    for (const auto& [table, request] : tables->AsObject()) {
      for (const Json& key : request.At("Keys").AsArray()) {
        keys.emplace(StringAttribute(key, key_col));
      }
    }
  }
  return keys;
}

}  // namespace

void DynamoDbBatches::Put(Items items, const base::Deadline& deadline) {
  Values none;
  Run(Kind::kPut, std::move(items), deadline, none);
}

void DynamoDbBatches::Delete(Items items, const base::Deadline& deadline) {
  Values none;
  Run(Kind::kDelete, std::move(items), deadline, none);
}

DynamoDbBatches::Values DynamoDbBatches::Get(Items items, const base::Deadline& deadline) {
  Values values;
  Run(Kind::kGet, std::move(items), deadline, values);
  return values;
}

void DynamoDbBatches::NoteValueSize(uint64_t size_bytes) {
  uint64_t seen = value_size_max_seen_bytes_.load(std::memory_order_relaxed);
  while (seen < size_bytes && !value_size_max_seen_bytes_.compare_exchange_weak(
                                  seen, size_bytes, std::memory_order_relaxed)) {
  }
}

void DynamoDbBatches::Run(Kind kind, Items items, const base::Deadline& deadline, Values& values) {
  for (const DynamoDbBatchItem& item : items) NoteValueSize(item.value.size());
  // Items of one table next to each other: a batch names each table once.
  std::ranges::stable_sort(items, {}, [&](const DynamoDbBatchItem& item) -> const std::string& {
    return options_.TableOf(item.key);
  });
  Patience patience(deadline, base::MixSeed(static_cast<uint64_t>(::getpid()), next_seed_++));
  while (!items.empty()) {
    Pass pass = RunOnce(kind, items, deadline, values);
    // An answer that is as large as answers get is no sign of throttling.
    const bool is_cut_for_size = pass.read_bytes > kBatchValuesBytes / 2;
    if (!pass.undone.empty() && !is_cut_for_size) {
      patience.Pause(pass.undone.size() < items.size(), Describe(kind, pass.undone));
    }
    items = std::move(pass.undone);
  }
}

DynamoDbBatches::Pass DynamoDbBatches::RunOnce(Kind kind, const Items& items,
                                               const base::Deadline& deadline, Values& values) {
  Pass pass;
  for (Batch rest = items; !rest.empty();) {
    std::vector<Batch> batches;
    std::vector<DynamoDbCall> calls;
    while (!rest.empty() && calls.size() < DynamoDbClient::kCallsAtOnceMax) {
      batches.push_back(CutBatch(kind, rest));
      calls.push_back(CallOf(kind, batches.back()));
      rest = rest.subspan(batches.back().size());
    }
    const std::vector<DynamoDbAnswer> answers = client_.CallAll(calls, deadline);
    for (size_t i = 0; i < answers.size(); ++i) {
      ReadDynamoDbAnswer(calls[i].operation,
                         [&] { Take(kind, batches[i], answers[i], values, pass); });
    }
  }
  return pass;
}

Batch DynamoDbBatches::CutBatch(Kind kind, Batch rest) const {
  if (kind == Kind::kGet) {
    const uint64_t size = std::max<uint64_t>(1, value_size_max_seen_bytes_.load());
    const uint64_t count = std::clamp<uint64_t>(kBatchValuesBytes / size, 1, kBatchGetItemsMax);
    return rest.first(std::min<size_t>(rest.size(), count));
  }
  uint64_t bytes = rest.front().value.size();
  size_t count = 1;
  while (count < rest.size() && count < kBatchWriteItemsMax) {
    bytes += rest[count].value.size();
    if (bytes > kBatchValuesBytes) break;
    ++count;
  }
  return rest.first(count);
}

DynamoDbCall DynamoDbBatches::CallOf(Kind kind, Batch batch) const {
  const std::string_view key_col = options_.key_col;
  const bool is_get = kind == Kind::kGet;
  std::string body;
  size_t size = 256;
  for (const auto& item : batch) {
    size += 64 + ItemJsonSizeMaxBytes(key_col, item.key, item.value.size());
  }
  body.reserve(size);
  body += R"({"RequestItems":{)";
  const std::string* table = nullptr;
  const auto close_table = [&] { body += is_get ? "]}" : "]"; };
  for (const DynamoDbBatchItem& item : batch) {
    if (const std::string& own = options_.TableOf(item.key); table == nullptr || own != *table) {
      if (table != nullptr) close_table();
      fmt::format_to(std::back_inserter(body), R"({}"{}":{}[)", table == nullptr ? "" : ",", own,
                     is_get ? R"({"ConsistentRead":true,"Keys":)" : "");
      table = &own;
    } else {
      body += ',';
    }
    switch (kind) {
      case Kind::kPut:
        body += R"({"PutRequest":{"Item":)";
        AppendItem(key_col, item.key, item.value, item.version, body);
        body += "}}";
        break;
      case Kind::kDelete:
        body += R"({"DeleteRequest":{"Key":)";
        AppendKey(key_col, item.key, body);
        body += "}}";
        break;
      case Kind::kGet:
        AppendKey(key_col, item.key, body);
    }
  }
  close_table();
  body += R"(},"ReturnConsumedCapacity":"TOTAL"})";
  return {.action = is_get ? "BatchGetItem" : "BatchWriteItem",
          .operation = Describe(kind, batch),
          .body = std::move(body)};
}

void DynamoDbBatches::Take(Kind kind, Batch batch, const DynamoDbAnswer& answer, Values& values,
                           Pass& pass) {
  const Json& json = answer.json.root();
  const auto unprocessed = UnprocessedKeys(json, options_.key_col);
  uint64_t units = 0;  // as the service should bill them
  std::set<std::string_view> processed;
  for (const DynamoDbBatchItem& item : batch) {
    if (unprocessed.contains(item.key)) {
      pass.undone.push_back(item);
      continue;
    }
    processed.insert(item.key);
    units += kind == Kind::kPut
                 ? WriteUnits(ItemSizeBytes(options_.key_col, item.key, item.value.size()))
                 : 1;
  }
  if (kind != Kind::kGet) {
    meter_.CountWriteUnits(answer.units.value_or(units));
    return;
  }
  for (const auto& [table, items] : json.At("Responses").AsObject()) {
    for (const Json& item : items.AsArray()) {
      const auto key = processed.find(StringAttribute(item, options_.key_col));
      if (key == processed.end()) {
        throw Error(ErrorCode::kInvalidData, "an item that it was not asked for");
      }
      base::Blob value = answer.json.Binary(item.At(kValueColumn));
      units += ReadUnits(ItemSizeBytes(options_.key_col, *key, value.size())) - 1;
      NoteValueSize(value.size());
      meter_.CountBytesRead(value.size());
      pass.read_bytes += value.size();
      values.emplace(*key, std::move(value));
    }
  }
  meter_.CountReadUnits(answer.units.value_or(units));
}

std::string DynamoDbBatches::Describe(Kind kind, Batch items) const {
  const std::string_view verb = kind == Kind::kPut      ? "put "
                                : kind == Kind::kDelete ? DynamoDbCall::kDelete
                                                        : "get ";
  const std::string others = items.size() == 1 ? "" : fmt::format(" and {} more", items.size() - 1);
  return fmt::format("{}{}{} in {}", verb, items.front().key, others, options_.url);
}

}  // namespace lambdaml::store
