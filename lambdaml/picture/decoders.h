// What the decoders of the two formats share; internal to the module.
#pragma once

#include <string_view>

#include "lambdaml/picture/picture.h"

namespace lambdaml::picture {

[[noreturn]] void Refuse(std::string_view name, std::string_view what);

// Makes room for the pixels. Errors: kInvalidData above the limits.
Picture MakePicture(int64_t width, int64_t height, std::string_view name);

Picture DecodePng(base::ByteSpan bytes, std::string_view name);
Picture DecodeJpeg(base::ByteSpan bytes, std::string_view name);

}  // namespace lambdaml::picture
