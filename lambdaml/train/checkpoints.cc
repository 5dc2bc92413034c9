#include "lambdaml/train/checkpoints.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <random>
#include <utility>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/error.h"
#include "lambdaml/store/open_store.h"

namespace lambdaml::train {

using base::Error;
using base::ErrorCode;

namespace {

constexpr const char* kLatestKey = "latest";
constexpr int64_t kVersion = 1;
// How long a wait for a checkpoint lasts before it is asked whether that one is past.
constexpr base::Duration kLook = std::chrono::seconds(2);

struct Latest {
  std::string job_id;
  int64_t number = 0;
};

Latest ParseLatest(const store::Store& store, const base::Blob& stored) {
  const std::string_view text = stored.text();
  const size_t space = std::min(text.find(' '), text.size());
  Latest latest = {.job_id = std::string(text.substr(0, space))};
  const std::string_view number = text.substr(std::min(space + 1, text.size()));
  const auto [end, error] =
      std::from_chars(number.data(), number.data() + number.size(), latest.number);
  if (error != std::errc() || end != number.data() + number.size() || latest.number < 0) {
    throw Error(ErrorCode::kCorrupt,
                fmt::format("{}/{} names no checkpoint: delete it, or name another place",
                            store.url(), kLatestKey));
  }
  return latest;
}

std::optional<Latest> ReadLatest(store::Store& store, const base::Deadline& deadline) {
  const std::optional<base::Blob> stored = store.Get(kLatestKey, deadline);
  if (!stored) return std::nullopt;
  return ParseLatest(store, *stored);
}

std::string ManifestName(int64_t number) { return fmt::format("{}.manifest", number); }
std::string AsyncName(int64_t rank) { return fmt::format("async.rank{}", rank); }

std::string RandomSuffix() {
  std::random_device device;
  return fmt::format("{:08x}", device());
}

base::Json ToJson(const CheckpointManifest& manifest) {
  base::Json json = base::Json::EmptyObject();
  json.Set("version", kVersion);
  json.Set("number", manifest.number);
  json.Set("job_id", manifest.job_id);
  json.Set("generation", manifest.generation);
  json.Set("rounds", manifest.rounds);
  json.Set("rounds_ended", manifest.rounds_ended);
  json.Set("epochs", manifest.epochs);
  json.Set("shared", ToJson(manifest.shared));
  base::Json ranks = base::Json::EmptyArray();
  for (const CheckpointPart& part : manifest.ranks) ranks.Append(ToJson(part));
  json.Set("ranks", std::move(ranks));
  json.Set("checksum", base::ChecksumHex(base::Checksum64(base::AsBytes(json.Dump()))));
  return json;
}

CheckpointManifest ManifestFromJson(const base::Json& json, const std::string& origin) {
  const int64_t version = json.At("version").AsInteger();
  if (version != kVersion) {
    throw Error(ErrorCode::kCorrupt, fmt::format("{}: its format has version {}, this program "
                                                 "reads {}",
                                                 origin, version, kVersion));
  }
  CheckpointManifest manifest;
  manifest.number = json.At("number").AsInteger();
  manifest.job_id = json.At("job_id").AsString();
  manifest.generation = static_cast<uint64_t>(json.At("generation").AsInteger());
  manifest.rounds = static_cast<uint64_t>(json.At("rounds").AsInteger());
  manifest.rounds_ended = static_cast<uint64_t>(json.At("rounds_ended").AsInteger());
  manifest.epochs = json.At("epochs").AsInteger();
  manifest.shared = CheckpointPartFromJson(json.At("shared"));
  for (const base::Json& part : json.At("ranks").AsArray()) {
    manifest.ranks.push_back(CheckpointPartFromJson(part));
  }
  if (json.At("checksum").AsString() != ToJson(manifest).At("checksum").AsString()) {
    throw Error(ErrorCode::kCorrupt, fmt::format("{} is damaged: its checksum differs", origin));
  }
  return manifest;
}

}  // namespace

base::Json ToJson(const CheckpointPart& part) {
  base::Json json = base::Json::EmptyObject();
  json.Set("name", part.name);
  json.Set("size", part.size_bytes);
  json.Set("checksum", part.checksum);
  return json;
}

CheckpointPart CheckpointPartFromJson(const base::Json& json) {
  return {.name = json.At("name").AsString(),
          .size_bytes = static_cast<uint64_t>(json.At("size").AsInteger()),
          .checksum = json.At("checksum").AsString()};
}

Checkpoints::Checkpoints(const std::string& url, std::string job_id)
    : store_(store::OpenStore(url)), job_id_(std::move(job_id)), suffix_(RandomSuffix()) {
  const std::string_view service = store_->capabilities().service;
  if (service != "file" && service != "s3") {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("--checkpoint {}: checkpoints are kept in a folder or in an S3 bucket "
                            "(file://, s3://)",
                            store_->url()));
  }
}

std::string Checkpoints::JobIn(const std::string& url, const base::Deadline& deadline) {
  const auto latest = ReadLatest(*store::OpenStore(url), deadline);
  return latest ? latest->job_id : "";
}

std::string Checkpoints::Key(const std::string& name) const { return job_id_ + "/" + name; }

std::optional<int64_t> Checkpoints::LatestNumber(const base::Deadline& deadline) {
  const auto latest = ReadLatest(*store_, deadline);
  if (!latest || latest->job_id != job_id_ || latest->number == 0) return std::nullopt;
  return latest->number;
}

void Checkpoints::PutLatest(int64_t number, const base::Deadline& deadline) {
  const std::string text = fmt::format("{} {}", job_id_, number);
  store_->Put(kLatestKey, base::AsBytes(text), deadline);
}

bool Checkpoints::RaiseLatest(int64_t number, const base::Deadline& deadline) {
  const std::string text = fmt::format("{} {}", job_id_, number);
  while (true) {
    const auto stored = store_->GetVersioned(kLatestKey, deadline);
    if (!stored) {
      if (store_->PutIfAbsent(kLatestKey, base::AsBytes(text), deadline)) return true;
      continue;
    }
    const auto latest = ParseLatest(*store_, stored->value);
    if (latest.job_id == job_id_ && latest.number >= number) return latest.number == number;
    if (store_->CompareAndSwap(kLatestKey, stored->version, base::AsBytes(text), deadline)) {
      return true;
    }
  }
}

std::optional<CheckpointManifest> Checkpoints::ReadManifest(int64_t number,
                                                            const base::Deadline& deadline) {
  const std::string key = Key(ManifestName(number));
  const std::optional<base::Blob> text = store_->Get(key, deadline);
  if (!text) return std::nullopt;
  const std::string origin = fmt::format("{}/{}", store_->url(), key);
  CheckpointManifest manifest;
  try {
    manifest = ManifestFromJson(base::Json::Parse(text->text(), origin), origin);
  } catch (const Error& error) {
    throw Error(ErrorCode::kCorrupt, error.message());
  }
  if (manifest.job_id != job_id_ || manifest.number != number) {
    throw Error(ErrorCode::kCorrupt, fmt::format("{} is of checkpoint {} of job {}", origin,
                                                 manifest.number, manifest.job_id));
  }
  return manifest;
}

std::optional<CheckpointManifest> Checkpoints::Latest(const base::Deadline& deadline) {
  std::optional<int64_t> number = LatestNumber(deadline);
  while (number) {
    // Rank 0 may have died between the two: nobody has gone on from the newer one then.
    if (auto manifest = ReadManifest(*number, deadline)) return manifest;
    if (auto manifest = ReadManifest(*number - 1, deadline)) return manifest;
    // Neither is there; or both were deleted meanwhile, since there are two newer ones.
    if (number == std::exchange(number, LatestNumber(deadline))) break;
  }
  return std::nullopt;
}

bool Checkpoints::HasNewer(int64_t number, const base::Deadline& deadline) {
  const std::optional<int64_t> latest = LatestNumber(deadline);
  if (!latest || *latest <= number) return false;
  const auto manifest = Latest(deadline);
  return manifest && manifest->number > number;
}

bool Checkpoints::WaitFor(int64_t number, const base::Deadline& deadline) {
  while (true) {
    const auto look = base::Deadline::After(kLook, deadline.clock());
    if (store_->Wait(Key(ManifestName(number)), base::Deadline::Earlier(deadline, look))) {
      return true;
    }
    if (deadline.Expired()) return false;
    if (HasNewer(number, deadline)) return true;  // two newer ones, and it is deleted
  }
}

CheckpointManifest Checkpoints::Settle(const base::Deadline& deadline, std::string* warning) {
  const std::optional<int64_t> number = LatestNumber(deadline);
  if (!number) {
    throw Error(ErrorCode::kNotFound, fmt::format("there is no checkpoint in {}", store_->url()));
  }
  std::string first_error;
  for (int64_t n = *number; n >= *number - 1; --n) {
    try {
      const std::optional<CheckpointManifest> manifest = ReadManifest(n, deadline);
      if (!manifest) {
        throw Error(ErrorCode::kCorrupt,
                    fmt::format("{}/{} is missing", store_->url(), Key(ManifestName(n))));
      }
      CheckParts(*manifest, deadline);
      if (n < *number) {
        *warning = fmt::format("{}; going on from the checkpoint before it", first_error);
        PutLatest(n, deadline);
      }
      return *manifest;
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kCorrupt && error.code() != ErrorCode::kNotFound) throw;
      if (first_error.empty()) first_error = error.message();
    }
  }
  throw Error(ErrorCode::kCorrupt, first_error);
}

void Checkpoints::CheckParts(const CheckpointManifest& manifest, const base::Deadline& deadline) {
  Shared(manifest, deadline);
  for (size_t rank = 0; rank < manifest.ranks.size(); ++rank) {
    Rank(manifest, static_cast<int64_t>(rank), deadline);
  }
}

CheckpointPart Checkpoints::PutShared(int64_t number, base::ByteSpan bytes,
                                      const base::Deadline& deadline) {
  return Put(fmt::format("{}.shared.{}", number, suffix_), bytes, deadline);
}

CheckpointPart Checkpoints::PutRank(int64_t number, int64_t rank, base::ByteSpan bytes,
                                    const base::Deadline& deadline) {
  return Put(fmt::format("{}.rank{}.{}", number, rank, suffix_), bytes, deadline);
}

CheckpointPart Checkpoints::Put(std::string name, base::ByteSpan bytes,
                                const base::Deadline& deadline) {
  store_->Put(Key(name), bytes, deadline);
  return {std::move(name), bytes.size(), base::ChecksumHex(base::Checksum64(bytes))};
}

void Checkpoints::PutManifest(const CheckpointManifest& manifest, const base::Deadline& deadline) {
  if (!RaiseLatest(manifest.number, deadline)) return;
  const std::string text = ToJson(manifest).DumpPretty();
  store_->PutIfAbsent(Key(ManifestName(manifest.number)), base::AsBytes(text), deadline);
}

base::Blob Checkpoints::Shared(const CheckpointManifest& manifest, const base::Deadline& deadline) {
  return Part(manifest.shared, deadline);
}

base::Blob Checkpoints::Rank(const CheckpointManifest& manifest, int64_t rank,
                             const base::Deadline& deadline) {
  const auto index = static_cast<size_t>(rank);
  if (index >= manifest.ranks.size()) {
    throw Error(ErrorCode::kCorrupt,
                fmt::format("{}/{} is of {} workers, there is none with rank {}", store_->url(),
                            Key(ManifestName(manifest.number)), manifest.ranks.size(), rank));
  }
  return Part(manifest.ranks[index], deadline);
}

base::Blob Checkpoints::Part(const CheckpointPart& part, const base::Deadline& deadline) {
  const std::string key = Key(part.name);
  std::optional<base::Blob> bytes = store_->Get(key, deadline);
  if (!bytes) {
    throw Error(ErrorCode::kNotFound,
                fmt::format("{}/{}, a part of the checkpoint, is missing", store_->url(), key));
  }
  if (bytes->size() != part.size_bytes ||
      base::ChecksumHex(base::Checksum64(bytes->span())) != part.checksum) {
    throw Error(ErrorCode::kCorrupt,
                fmt::format("{}/{} is damaged: its size or checksum is not what the checkpoint's "
                            "manifest says",
                            store_->url(), key));
  }
  return *std::move(bytes);
}

void Checkpoints::Delete(const CheckpointManifest& manifest, int64_t rank,
                         const base::Deadline& deadline) {
  std::vector<std::string> keys;
  if (rank == 0) keys = {Key(ManifestName(manifest.number)), Key(manifest.shared.name)};
  keys.push_back(Key(manifest.ranks.at(static_cast<size_t>(rank)).name));
  store_->Delete(keys, deadline);
}

void Checkpoints::PutAsync(int64_t rank, base::ByteSpan bytes, const base::Deadline& deadline) {
  store_->Put(Key(AsyncName(rank)), bytes, deadline);
}

std::optional<base::Blob> Checkpoints::Async(int64_t rank, const base::Deadline& deadline) {
  return store_->Get(Key(AsyncName(rank)), deadline);
}

void Checkpoints::PutJob(const std::string& job, const base::Deadline& deadline) {
  const std::string checksum = base::ChecksumHex(base::Checksum64(base::AsBytes(job)));
  store_->Put(Key("job"), base::AsBytes(fmt::format("{} {}", checksum, job)), deadline);
  if (!LatestNumber(deadline)) PutLatest(0, deadline);
}

std::string Checkpoints::Job(const base::Deadline& deadline) {
  const std::string key = Key("job");
  const std::optional<base::Blob> stored = store_->Get(key, deadline);
  if (!stored) {
    throw Error(ErrorCode::kNotFound, fmt::format("{}/{} is missing", store_->url(), key));
  }
  const std::string_view text = stored->text();
  const size_t space = std::min(text.find(' '), text.size());
  const std::string_view job = text.substr(std::min(space + 1, text.size()));
  if (text.substr(0, space) != base::ChecksumHex(base::Checksum64(base::AsBytes(job)))) {
    throw Error(ErrorCode::kCorrupt,
                fmt::format("{}/{} is damaged: its checksum differs", store_->url(), key));
  }
  return std::string(job);
}

bool Checkpoints::HasState(const base::Deadline& deadline) {
  return Latest(deadline) || Async(0, deadline);
}

void Checkpoints::DeleteAll(const base::Deadline& deadline) {
  const auto latest = ReadLatest(*store_, deadline);
  const std::string key = kLatestKey;
  if (latest && latest->job_id == job_id_) store_->Delete(std::span(&key, 1), deadline);
  store_->DeletePrefix(job_id_ + "/", deadline);
}

}  // namespace lambdaml::train
