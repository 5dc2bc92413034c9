// The store in a bucket of Amazon S3 or of any server that speaks its protocol (Ceph, MinIO, …).
//
// The key a/b of s3://bucket/prefix is the object prefix/a/b, which holds the value and nothing
// else. S3 is strongly consistent: who reads after a write has returned sees it.
//
// Cost: Get, Put, PutIfAbsent, CompareAndSwap are 1 request each for values of up to 16 MiB (Get)
// and 32 MiB (Put); larger ones go in parts of 16 MiB side by side, 1 request each, and 2 more for
// a Put. Delete is 1 request for 1000 keys, List 1 for 1000 found. S3 cannot notify: Wait asks
// again and again, with growing pauses, 1 read request for each look and key still missing.
//
// Versions are ETags, which S3 derives from the contents: a value written back has its old version
// back.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lambdaml/net/credentials.h"
#include "lambdaml/net/retry.h"
#include "lambdaml/store/meter.h"
#include "lambdaml/store/polling.h"
#include "lambdaml/store/s3_client.h"
#include "lambdaml/store/s3_location.h"
#include "lambdaml/store/store.h"

namespace lambdaml::store {

struct S3Sizes {
  uint64_t range_bytes = 16 << 20;          // one request of a Get reads at most so much
  uint64_t multipart_min_bytes = 32 << 20;  // a Put from here on is cut into parts
  uint64_t part_bytes = 16 << 20;           // S3 wants at least 5 MiB
};

class S3Store final : public Store {
 public:
  // Sends nothing: whether the bucket exists shows in the first call.
  // Errors: as LocateS3.
  explicit S3Store(const std::string& url, base::Duration first_contact_max = net::kOutageMax);
  S3Store(const S3Location& location, std::shared_ptr<net::CredentialsProvider> credentials,
          const S3Sizes& sizes = {}, base::Duration first_contact_max = net::kOutageMax);

  const Capabilities& capabilities() const override;
  const std::string& url() const override { return client_.location().url; }
  Counters counters() const override { return meter_.Read(); }

  std::optional<base::Blob> Get(const std::string& key, const base::Deadline& deadline) override;
  void Put(const std::string& key, base::ByteSpan value, const base::Deadline& deadline) override;
  bool PutIfAbsent(const std::string& key, base::ByteSpan value,
                   const base::Deadline& deadline) override;
  std::optional<VersionedValue> GetVersioned(const std::string& key,
                                             const base::Deadline& deadline) override;
  bool CompareAndSwap(const std::string& key, const std::string& version, base::ByteSpan value,
                      const base::Deadline& deadline) override;
  void Delete(std::span<const std::string> keys, const base::Deadline& deadline) override;
  // Objects whose names are no keys are not shown, and so not deleted by DeletePrefix.
  std::vector<std::string> List(std::string_view prefix, const base::Deadline& deadline) override;
  std::optional<base::Blob> Wait(const std::string& key, const base::Deadline& deadline) override;
  std::vector<std::optional<base::Blob>> WaitAll(std::span<const std::string> keys,
                                                 const base::Deadline& deadline) override;
  void PutAll(std::span<const KeyValue> entries, const base::Deadline& deadline) override;

 private:
  void CheckWrite(std::string_view operation, const std::string& key, base::ByteSpan value,
                  const base::Deadline& deadline) const;
  // Deletes one request's worth of keys; returns those to be tried again, with what S3 says of one.
  std::vector<std::string> DeletePage(std::span<const std::string> keys,
                                      const base::Deadline& deadline);

  Meter meter_;
  UsualWait usual_wait_;
  S3Client client_;
  const S3Sizes sizes_;
};

}  // namespace lambdaml::store
