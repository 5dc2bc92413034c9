// data describe | split | convert | generate.
#include <array>
#include <filesystem>
#include <fmt/format.h>
#include <optional>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/units.h"
#include "lambdaml/data/describe.h"
#include "lambdaml/data/generate.h"
#include "lambdaml/data/generate_images.h"
#include "lambdaml/data/idx.h"
#include "lambdaml/data/image_batch.h"
#include "lambdaml/data/image_folder.h"
#include "lambdaml/data/select.h"
#include "lambdaml/data/shards.h"
#include "lambdaml/data/split.h"
#include "lambdaml/place/data_place.h"
#include "lambdaml/place/image_place.h"
#include "lambdaml/place/place.h"
#include "lambdaml/store/open_store.h"

#include "apps/lambdaml/commands.h"

namespace lambdaml::cli {
namespace {

constexpr base::Duration kShardTimeout = std::chrono::minutes(10);

data::Dataset Load(const DataInput& input) {
  return place::LoadData(input.path, {.index_base = input.index_base,
                                      .n_features = input.n_features,
                                      .layout = data::LayoutFromName(input.layout).value()});
}

data::FileFormat FormatOf(const std::string& format, const std::string& output) {
  if (format.empty()) return data::FormatOfName(place::NameOf(output));
  return format == "npz" ? data::FileFormat::kNpz : data::FileFormat::kLibsvm;
}

std::string Count(int64_t count) { return base::FormatCount(static_cast<uint64_t>(count)); }

std::string FormatDescription(const data::Description& description) {
  std::string text = fmt::format(
      "rows       {}\nfeatures   {}\nnon-zeros  {} ({:.4g} %)\nlayout     {}\nvalues     {:.6g} to "
      "{:.6g}\n",
      Count(description.rows), Count(description.n_features), Count(description.nonzeros),
      100 * description.density, data::LayoutName(description.layout), description.value_min,
      description.value_max);
  if (!description.labels) return text + "labels     too many to be classes\n";
  for (const data::LabelCount& count : *description.labels) {
    text += fmt::format("label      {}: {} rows\n", count.label, Count(count.rows));
  }
  return text;
}

base::Json ToJson(const std::array<float, data::kImageChannels>& channels) {
  base::Json list = base::Json::EmptyArray();
  for (const float value : channels) list.Append(static_cast<double>(value));
  return list;
}

// Red, green, blue.
std::string FormatChannels(const std::array<float, data::kImageChannels>& channels) {
  return fmt::format("{:.4f} {:.4f} {:.4f}", channels[0], channels[1], channels[2]);
}

void DescribeImages(const DescribeArguments& arguments) {
  const data::ImageSet images = place::LoadImages(arguments.data.path, arguments.data.n_classes);
  const data::Description description = data::Describe(images);
  const data::Normalisation channels = data::NormalisationOf(data::SumPixels(images));
  if (arguments.json) {
    base::Json json = data::ToJson(description);
    json.Set("mean", ToJson(channels.mean));
    json.Set("deviation", ToJson(channels.deviation));
    return WriteOutput(json.Dump() + "\n");
  }
  WriteOutput(FormatDescription(description) +
              fmt::format("mean       {} (red, green, blue)\ndeviation  {}\n",
                          FormatChannels(channels.mean), FormatChannels(channels.deviation)));
}

std::optional<data::ImageSet> TestImagesOf(const SplitArguments& arguments,
                                           const place::ImagePlace& place) {
  const int64_t n_classes = arguments.data.n_classes;
  if (!arguments.test.empty()) return place::LoadImages(arguments.test, n_classes);
  if (place.folder) return data::LoadTestImages(*place.folder, n_classes);
  return std::nullopt;
}

void GenerateImages(const GenerateArguments& arguments) {
  if (arguments.n_features || !arguments.format.empty()) {
    throw base::Error(base::ErrorCode::kInvalidArgument,
                      "cifar10: --n_features and --format are not for images: their form is fixed");
  }
  const data::ImageSet images =
      data::GenerateImages({.rows = arguments.rows,
                            .n_classes = arguments.n_classes.value_or(data::kCifarClasses),
                            .seed = arguments.seed});
  place::Write(arguments.output, images.records().span());
}

}  // namespace

void Run(const DescribeArguments& arguments) {
  if (place::HoldsImages(arguments.data.path)) return DescribeImages(arguments);
  const data::Description description = data::Describe(Load(arguments.data));
  WriteOutput(arguments.json ? data::ToJson(description).Dump() + "\n"
                             : FormatDescription(description));
}

void Run(const SplitArguments& arguments) {
  const bool is_images = place::HoldsImages(arguments.data.path);
  if (!is_images && !arguments.test.empty()) {
    throw base::Error(
        base::ErrorCode::kInvalidArgument,
        fmt::format("--test goes with images, which {} does not hold", arguments.data.path));
  }
  data::SplitOptions options = {.parts = arguments.parts, .format = FormatOf(arguments.format, "")};
  if (arguments.shuffle) options.shuffle_seed = arguments.seed;
  std::unique_ptr<store::Store> folder;  // made once there is something to put in
  const data::FileSink put = [&](std::string_view name, base::ByteSpan bytes) {
    if (!folder) folder = store::OpenStore(arguments.output);
    folder->Put(std::string(name), bytes, base::Deadline::After(kShardTimeout));
  };
  data::Manifest manifest;
  if (is_images) {
    const place::ImagePlace place = place::OpenImages(arguments.data.path);
    manifest = data::SplitImages(place::LoadImages(place, arguments.data.n_classes),
                                 TestImagesOf(arguments, place), options, put);
  } else {
    manifest = data::Split(Load(arguments.data), options, put);
  }
  WriteOutput(fmt::format("{} rows in {} shards, with {}, in {}\n", Count(manifest.rows),
                          manifest.shards.size(), data::kManifestName, arguments.output));
}

void Run(const ConvertArguments& arguments) {
  data::Dataset dataset = Load(arguments.data);
  if (!arguments.labels.empty()) {
    const std::string& labels = arguments.labels;
    dataset = data::WithLabels(std::move(dataset), data::LoadIdxLabels(place::Read(labels), labels),
                               labels);
  }
  place::SaveData(dataset, arguments.output, FormatOf(arguments.format, arguments.output));
}

void Run(const GenerateArguments& arguments) {
  if (arguments.kind == "cifar10") return GenerateImages(arguments);
  const data::GenerateOptions options = {
      .kind = data::GeneratorKindFromName(arguments.kind).value(),
      .rows = arguments.rows,
      .seed = arguments.seed,
      .n_features = arguments.n_features,
      .n_classes = arguments.n_classes};
  const data::FileFormat format = FormatOf(arguments.format, arguments.output);
  if (place::IsLocal(arguments.output)) {
    data::GenerateFile(options, place::PathOf(arguments.output), format);
  } else {
    place::SaveData(data::Generate(options), arguments.output, format);
  }
}

}  // namespace lambdaml::cli
