#include "lambdaml/store/open_store.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <string_view>

#include "lambdaml/base/error.h"
#include "lambdaml/store/dynamodb_store.h"
#include "lambdaml/store/file_store.h"
#include "lambdaml/store/memcached_store.h"
#include "lambdaml/store/redis_store.h"
#include "lambdaml/store/s3_store.h"

namespace lambdaml::store {
namespace {

using base::Error;
using base::ErrorCode;

std::unique_ptr<Store> OpenFileStore(const std::string& url, base::Duration) {
  const std::string_view path = std::string_view(url).substr(std::string_view("file://").size());
  if (!path.starts_with('/')) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: the path must be absolute, as in file:///dev/shm/jobs", url));
  }
  return std::make_unique<FileStore>(std::string(path));
}

template <typename StoreOfScheme>
std::unique_ptr<Store> OpenByUrl(const std::string& url, base::Duration first_contact_max) {
  return std::make_unique<StoreOfScheme>(url, first_contact_max);
}

struct Scheme {
  std::string_view name;
  std::string_view example;
  std::unique_ptr<Store> (*open)(const std::string& url, base::Duration first_contact_max);
};

// The registration table: one line for each store.
constexpr auto kSchemes = std::to_array<Scheme>({
    {"dynamodb", "dynamodb://tmp_table,merged_table", OpenByUrl<DynamoDbStore>},
    {"file", "file:///dir", OpenFileStore},
    {"memcached", "memcached://host:port[,host:port]", OpenByUrl<MemcachedStore>},
    {"redis", "redis://host:port/db", OpenByUrl<RedisStore>},
    {"rediss", "rediss://host:port/db", OpenByUrl<RedisStore>},
    {"s3", "s3://bucket/prefix", OpenByUrl<S3Store>},
});

// The scheme of "scheme:rest", or "" if the text cannot be a URL and so is a path.
std::string_view SchemeOf(std::string_view url) {
  const size_t colon = url.find(':');
  if (colon == url.npos || colon == 0) return {};
  const std::string_view scheme = url.substr(0, colon);
  const auto is_scheme_character = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '-' || c == '.';
  };
  return std::ranges::all_of(scheme, is_scheme_character) ? scheme : std::string_view();
}

}  // namespace

std::unique_ptr<Store> OpenStore(const std::string& url, base::Duration first_contact_max) {
  if (url.empty()) throw Error(ErrorCode::kInvalidArgument, "the URL of a store is empty");
  const std::string_view name = SchemeOf(url);
  if (name.empty()) return std::make_unique<FileStore>(url);

  std::string supported;
  for (const Scheme& scheme : kSchemes) {
    const std::string start = fmt::format("{}://", scheme.name);
    if (url.starts_with(start)) return scheme.open(url, first_contact_max);
    supported += fmt::format("{}{}", supported.empty() ? "" : ", ", scheme.example);
  }
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("{}: no such store; supported are {} and plain paths", url, supported));
}

}  // namespace lambdaml::store
