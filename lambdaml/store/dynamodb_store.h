// The store in DynamoDB: dynamodb://tmp_table,merged_table or dynamodb://table.
//
// A key is an item (dynamodb_items.h) in a table whose only key is a string, named by ?key_col=:
// with a sort key in place of single keys, all items of a job would share one partition and its
// 1,000 write units a second. With two tables, what one rank writes for another to merge stands in
// the first, everything else in the second: LambdaML's division.
//
// Cost: a write is billed one unit for each started KB, a read, always consistent, one for each
// started 4 KB; a delete costs what a write of the item does. Put, Get and conditional writes are
// one request each; PutAll, WaitAll and Delete go in batches, in parallel (dynamodb_batches.h).
// List scans both tables, and is billed for all there is in them.
//
// Wait polls, at once and then every 200 ms at worst: one unit and one request a look.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "lambdaml/net/credentials.h"
#include "lambdaml/net/retry.h"
#include "lambdaml/store/dynamodb_batches.h"
#include "lambdaml/store/dynamodb_client.h"
#include "lambdaml/store/dynamodb_options.h"
#include "lambdaml/store/meter.h"
#include "lambdaml/store/polling.h"
#include "lambdaml/store/store.h"

namespace lambdaml::store {

class DynamoDbStore final : public Store {
 public:
  // Sends nothing yet. URL: see DynamoDbOptions. Errors: kInvalidArgument for what is wrong there,
  // or if no region is known.
  explicit DynamoDbStore(
      const std::string& url,
      std::shared_ptr<net::CredentialsProvider> credentials = net::CredentialsChain(),
      base::Duration first_contact_max = net::kOutageMax);
  DynamoDbStore(const std::string& url, base::Duration first_contact_max)
      : DynamoDbStore(url, net::CredentialsChain(), first_contact_max) {}

  const Capabilities& capabilities() const override { return capabilities_; }
  const std::string& url() const override { return options_.url; }
  Counters counters() const override { return meter_.Read(); }

  // Sees that the tables exist and have the right key; with ?create=true makes those that are
  // missing, as on-demand tables, and waits until they are ready. Errors: kNotFound, with how to
  // create them; kInvalidArgument if the key is another; kDeadlineExceeded.
  void Prepare(const base::Deadline& deadline) override;
  // Deletes a table that Prepare made, which costs nothing, unless others have keys in it. A table
  // that is gone holds nothing.
  void TearDown(std::string_view prefix, const base::Deadline& deadline) override;

  std::optional<base::Blob> Get(const std::string& key, const base::Deadline& deadline) override;
  void Put(const std::string& key, base::ByteSpan value, const base::Deadline& deadline) override;
  // Both tell their own write from others' by its nonce when an answer was lost.
  bool PutIfAbsent(const std::string& key, base::ByteSpan value,
                   const base::Deadline& deadline) override;
  bool CompareAndSwap(const std::string& key, const std::string& version, base::ByteSpan value,
                      const base::Deadline& deadline) override;
  std::optional<VersionedValue> GetVersioned(const std::string& key,
                                             const base::Deadline& deadline) override;
  void Delete(std::span<const std::string> keys, const base::Deadline& deadline) override;
  std::vector<std::string> List(std::string_view prefix, const base::Deadline& deadline) override;
  std::optional<base::Blob> Wait(const std::string& key, const base::Deadline& deadline) override;
  std::vector<std::optional<base::Blob>> WaitAll(std::span<const std::string> keys,
                                                 const base::Deadline& deadline) override;
  // Of equal keys the last one's value stays.
  void PutAll(std::span<const KeyValue> entries, const base::Deadline& deadline) override;

 private:
  struct Item {
    base::Blob value;
    std::string version;
  };

  void CheckWrite(std::string_view operation, std::string_view key, base::ByteSpan value,
                  const base::Deadline& deadline) const;
  std::string Describe(std::string_view operation, std::string_view key) const;
  // A nonce that no other write has.
  std::string NewVersion();

  std::optional<Item> ReadItem(const std::string& key, const base::Deadline& deadline);
  // PutItem, `condition` being further members of the request, or "". False if the condition is
  // not met.
  bool WriteItem(std::string_view operation, const std::string& key, base::ByteSpan value,
                 std::string_view condition, const base::Deadline& deadline);
  // `expected_errors`: codes that mean that there are no keys.
  std::vector<std::string> Scan(const std::string& table, std::string_view prefix,
                                const base::Deadline& deadline,
                                const std::vector<std::string>& expected_errors = {});

  const DynamoDbOptions options_;
  const Capabilities capabilities_;
  Meter meter_;
  UsualWait usual_wait_;
  DynamoDbClient client_;
  DynamoDbBatches batches_;
  const uint64_t version_seed_;
  std::atomic<uint64_t> next_version_{0};
  std::set<std::string, std::less<>> created_tables_;  // by Prepare
};

}  // namespace lambdaml::store
