#include "lambdaml/place/place.h"

#include <filesystem>
#include <fmt/format.h>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <system_error>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/file.h"
#include "lambdaml/store/open_store.h"

namespace lambdaml::place {
namespace {

using base::Error;
using base::ErrorCode;

constexpr std::string_view kFileScheme = "file://";
constexpr base::Duration kTransferTimeout = std::chrono::minutes(10);
constexpr base::Duration kProbeTimeout = std::chrono::seconds(10);

std::string_view WithoutParameters(std::string_view url) { return url.substr(0, url.find('?')); }

// The folder must exist and take a file.
void CheckFolderWritable(const std::string& path) {
  std::error_code error;                               // of files that do not exist
  if (std::filesystem::is_other(path, error)) return;  // a device or pipe
  std::string folder = std::filesystem::path(path).parent_path();
  if (folder.empty()) folder = ".";
  const base::TemporaryDirectory probe(folder, ".lambdaml-");
}

}  // namespace

bool IsLocal(std::string_view place) {
  return place.starts_with(kFileScheme) || place.find("://") == place.npos;
}

std::string PathOf(std::string_view place) {
  if (place.starts_with(kFileScheme)) place.remove_prefix(kFileScheme.size());
  return std::string(place);
}

std::string NameOf(std::string_view place) {
  if (!IsLocal(place)) {
    place = WithoutParameters(place);
    place.remove_prefix(place.find("://") + 3);
  }
  return std::string(place.substr(place.rfind('/') + 1));
}

ObjectPlace SplitObjectUrl(std::string_view url) {
  const std::string_view address = WithoutParameters(url);
  const size_t authority = address.find("://") + 3;
  const size_t slash = address.rfind('/');
  if (slash < authority || slash + 1 == address.size()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{} names no object: add /NAME to the URL", url));
  }
  return {fmt::format("{}{}", address.substr(0, slash), url.substr(address.size())),
          std::string(address.substr(slash + 1))};
}

base::Blob Read(const std::string& place) {
  if (IsLocal(place)) return base::MapFile(PathOf(place));
  const ObjectPlace object = SplitObjectUrl(place);
  std::optional<base::Blob> bytes = store::OpenStore(object.folder_url, net::kFirstContactMax)
                                        ->Get(object.key, base::Deadline::After(kTransferTimeout));
  if (!bytes) throw Error(ErrorCode::kNotFound, fmt::format("{}: there is no such object", place));
  return *std::move(bytes);
}

void Write(const std::string& place, base::ByteSpan bytes) {
  if (IsLocal(place)) return base::WriteFileAtomic(PathOf(place), bytes);
  const ObjectPlace object = SplitObjectUrl(place);
  store::OpenStore(object.folder_url)
      ->Put(object.key, bytes, base::Deadline::After(kTransferTimeout));
}

void CheckWritable(const std::string& place) {
  if (IsLocal(place)) return CheckFolderWritable(PathOf(place));
  const ObjectPlace object = SplitObjectUrl(place);
  const std::unique_ptr<store::Store> folder =
      store::OpenStore(object.folder_url, net::kFirstContactMax);
  const std::string probe = fmt::format("probe-{:08x}", std::random_device{}());
  const base::Deadline deadline = base::Deadline::After(kProbeTimeout);
  folder->Put(probe, {}, deadline);
  folder->Delete(std::span(&probe, 1), deadline);
}

}  // namespace lambdaml::place
