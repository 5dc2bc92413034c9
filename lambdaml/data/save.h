// Data sets to files: the one way out, as load.h is the one way in.
#pragma once

#include <string>
#include <string_view>

#include "lambdaml/base/bytes.h"
#include "lambdaml/data/dataset.h"

namespace lambdaml::data {

enum class FileFormat {
  kNpz,     // npz.h
  kLibsvm,  // libsvm_writer.h
};

// kNpz for a name that ends with ".npz", else kLibsvm.
FileFormat FormatOfName(std::string_view name);

base::Bytes Encode(const Dataset& dataset, FileFormat format);

// Writes the file as a whole or not at all. Errors: as base::AtomicFile.
void SaveFile(const Dataset& dataset, const std::string& path, FileFormat format);

}  // namespace lambdaml::data
