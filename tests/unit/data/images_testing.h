// What the tests of images share: records with a known content.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lambdaml/data/images.h"

namespace lambdaml::data {

// A record whose planes are all `value`, value + 1 and value + 2 (modulo 256).
inline std::string RecordText(int label, int value) {
  std::string text(1, static_cast<char>(label));
  for (int plane = 0; plane < 3; ++plane) {
    text.append(kImagePlane, static_cast<char>((value + plane) & 255));
  }
  return text;
}

inline ImageSet ImagesOf(const std::vector<std::string>& records) {
  std::string text;
  for (const std::string& record : records) text += record;
  return ImageSet(base::Blob::Copy(base::AsBytes(text)));
}

inline std::string TextOf(const ImageSet& images) { return std::string(images.records().text()); }

}  // namespace lambdaml::data
