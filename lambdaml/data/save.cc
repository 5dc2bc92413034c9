#include "lambdaml/data/save.h"

#include "lambdaml/base/file.h"
#include "lambdaml/data/libsvm_writer.h"
#include "lambdaml/data/npz.h"

namespace lambdaml::data {
namespace {

void EncodeTo(const Dataset& dataset, FileFormat format, const ByteSink& sink) {
  switch (format) {
    case FileFormat::kNpz:
      return EncodeNpz(dataset, sink);
    case FileFormat::kLibsvm:
      return EncodeLibsvm(dataset, sink);
  }
}

}  // namespace

FileFormat FormatOfName(std::string_view name) {
  return name.ends_with(".npz") ? FileFormat::kNpz : FileFormat::kLibsvm;
}

base::Bytes Encode(const Dataset& dataset, FileFormat format) {
  base::Bytes bytes;
  EncodeTo(dataset, format,
           [&](base::ByteSpan piece) { bytes.insert(bytes.end(), piece.begin(), piece.end()); });
  return bytes;
}

void SaveFile(const Dataset& dataset, const std::string& path, FileFormat format) {
  base::AtomicFile file(path);
  EncodeTo(dataset, format, [&](base::ByteSpan piece) { file.Append(piece); });
  file.Commit();
}

}  // namespace lambdaml::data
