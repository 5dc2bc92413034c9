#include "lambdaml/place/image_place.h"

#include <filesystem>
#include <fmt/format.h>
#include <memory>
#include <system_error>

#include "lambdaml/base/error.h"
#include "lambdaml/place/data_place.h"
#include "lambdaml/place/place.h"

namespace lambdaml::place {
namespace {

// What names a file or an object, as far as can be said without asking a store.
bool IsFile(const std::string& place) {
  if (!IsLocal(place)) return data::IsImageName(NameOf(place));
  std::error_code ignored;  // a path that cannot be looked at fails with its reason when opened
  return !std::filesystem::is_directory(PathOf(place), ignored);
}

}  // namespace

ImagePlace OpenImages(const std::string& place) {
  ImagePlace result = {.name = place, .folder = {}};
  if (IsFile(place)) return result;
  result.folder = data::FindImages(OpenFolder(place));
  if (result.folder) return result;
  throw base::Error(
      base::ErrorCode::kInvalidData,
      fmt::format("{} holds no images: name a file of CIFAR records, or a folder with "
                  "data_batch_*.bin or training_*.bin",
                  place));
}

bool HoldsImages(const std::string& place) {
  if (IsFile(place)) return data::IsImageName(NameOf(place));
  // Objects of other data have names of their own; only a folder's URL is listed.
  if (!IsLocal(place) && !place.substr(0, place.find('?')).ends_with('/')) return false;
  return data::FindImages(OpenFolder(place)).has_value();
}

data::ImageSet LoadImages(const ImagePlace& place, int64_t n_classes) {
  if (place.folder) return data::LoadTrainingImages(*place.folder, n_classes);
  return data::DecodeImages(Read(place.name), place.name, n_classes);
}

data::ImageSet LoadImages(const std::string& place, int64_t n_classes) {
  return LoadImages(OpenImages(place), n_classes);
}

}  // namespace lambdaml::place
