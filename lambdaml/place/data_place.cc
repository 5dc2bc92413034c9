#include "lambdaml/place/data_place.h"

#include <filesystem>
#include <fmt/format.h>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/error.h"
#include "lambdaml/place/place.h"
#include "lambdaml/store/open_store.h"

namespace lambdaml::place {
namespace {

using base::Error;
using base::ErrorCode;

constexpr base::Duration kTransferTimeout = std::chrono::minutes(10);

base::Deadline TransferEnd() { return base::Deadline::After(kTransferTimeout); }

class StoreFolder final : public data::Folder {
 public:
  explicit StoreFolder(const std::string& url)
      : store_(store::OpenStore(url, net::kFirstContactMax)) {}

  const std::string& name() const override { return store_->url(); }

  std::vector<std::string> List() const override { return store_->List("", TransferEnd()); }

  base::Blob Read(const std::string& file) const override {
    std::optional<base::Blob> bytes = store_->Get(file, TransferEnd());
    if (bytes) return *std::move(bytes);
    throw Error(ErrorCode::kNotFound, fmt::format("{}/{} is missing", name(), file));
  }

 private:
  const std::unique_ptr<store::Store> store_;
};

bool NamesAnObject(const std::string& url) {
  const std::string_view address = std::string_view(url).substr(0, url.find('?'));
  return address.rfind('/') > address.find("://") + 2 && !address.ends_with('/');
}

}  // namespace

std::shared_ptr<const data::Folder> OpenFolder(const std::string& place) {
  if (IsLocal(place)) return data::OpenLocalFolder(PathOf(place));
  return std::make_shared<StoreFolder>(place);
}

DataPlace OpenData(const std::string& place) {
  DataPlace result = {.name = place, .shards = {}, .object = {}};
  if (IsLocal(place)) {
    const std::string path = PathOf(place);
    std::error_code ignored;  // a path that cannot be looked at fails with its reason when opened
    if (std::filesystem::is_directory(path, ignored)) {
      result.shards = data::ListShards(data::OpenLocalFolder(path));
    }
    return result;
  }
  if (NamesAnObject(place)) {
    const ObjectPlace object = SplitObjectUrl(place);
    result.object =
        store::OpenStore(object.folder_url, net::kFirstContactMax)->Get(object.key, TransferEnd());
    if (result.object) return result;
  }
  const auto folder = std::make_shared<StoreFolder>(place);
  if (folder->List().empty()) {
    throw Error(ErrorCode::kNotFound,
                fmt::format("{}: there is neither such an object nor a folder", place));
  }
  result.shards = data::ListShards(folder);
  return result;
}

data::Dataset LoadData(DataPlace place, const data::LoadOptions& options) {
  if (place.shards) return data::LoadShards(*place.shards, options);
  if (place.object) return data::LoadBytes(*std::move(place.object), place.name, options);
  return data::LoadFile(PathOf(place.name), options);
}

data::Dataset LoadData(const std::string& place, const data::LoadOptions& options) {
  return LoadData(OpenData(place), options);
}

void SaveData(const data::Dataset& dataset, const std::string& place, data::FileFormat format) {
  if (IsLocal(place)) return data::SaveFile(dataset, PathOf(place), format);
  Write(place, data::Encode(dataset, format));
}

}  // namespace lambdaml::place
