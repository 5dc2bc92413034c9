// Images at places: a file or an object, or a folder (data/image_folder.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "lambdaml/base/bytes.h"
#include "lambdaml/data/image_folder.h"
#include "lambdaml/data/images.h"

namespace lambdaml::place {

struct ImagePlace {
  std::string name;                         // as the user gave it
  std::optional<data::ImageFolder> folder;  // else one file or object, whatever its name
};

// Looks at a place that must hold images; reads no image yet. Errors: kNotFound; kInvalidData if it
// is a folder of something else; those of the store; as data::FindImages.
ImagePlace OpenImages(const std::string& place);

// Whether a place holds images, for commands that take other data too: by its name, or by the names
// in the folder.
bool HoldsImages(const std::string& place);

// All training images: of a folder, one file after the other. Errors: as data::DecodeImages.
data::ImageSet LoadImages(const ImagePlace& place, int64_t n_classes);
data::ImageSet LoadImages(const std::string& place, int64_t n_classes);

}  // namespace lambdaml::place
